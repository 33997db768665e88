-- +goose Up
CREATE TABLE blog_posts (
    id         TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    author     TEXT COLLATE "C" NOT NULL,
    title      TEXT COLLATE "C" NOT NULL,
    content    TEXT COLLATE "C" NOT NULL,
    excerpt    TEXT COLLATE "C",
    tags       TEXT COLLATE "C" NOT NULL,
    is_draft   BOOLEAN          NOT NULL,
    created_at BIGINT           NOT NULL,
    updated_at BIGINT           NOT NULL
);
CREATE INDEX blog_posts_author ON blog_posts (author, id);
