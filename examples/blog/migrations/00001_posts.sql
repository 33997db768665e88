-- +goose Up
CREATE TABLE blog_posts (
    id         TEXT    NOT NULL PRIMARY KEY,
    author     TEXT    NOT NULL,
    title      TEXT    NOT NULL,
    content    TEXT    NOT NULL,
    excerpt    TEXT,
    tags       TEXT    NOT NULL,
    is_draft   BOOLEAN NOT NULL,
    created_at BIGINT  NOT NULL,
    updated_at BIGINT  NOT NULL
);
CREATE INDEX blog_posts_author ON blog_posts (author, id);
