package blog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// errNoPost is the error for a post that does not exist.
var errNoPost = errors.New("blog: no such post")

// posts keeps posts in the service's database.
type posts struct{ db *sqlstore.DB }

func newID(now time.Time) string { return module.NewID("pst", now) }

// isID reports whether s can be the id of a post. What cannot is not asked for.
func isID(s string) bool { return module.IsID("pst", s) }

// parseCursor returns the id that a page begins after. A cursor is an id: ids
// are public and in the order of creation.
func parseCursor(s string) (string, bool) { return s, s == "" || isID(s) }

const columns = `id, author, title, content, excerpt, tags, is_draft, created_at, updated_at`

func (s posts) create(ctx context.Context, p post) error {
	tags, err := json.Marshal(p.Tags)
	if err != nil {
		return err
	}
	return s.exec(ctx, `INSERT INTO blog_posts (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		p.ID, p.Author, p.Title, p.Content, p.Excerpt, string(tags), p.IsDraft, p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro())
}

func (s posts) update(ctx context.Context, p post) error {
	tags, err := json.Marshal(p.Tags)
	if err != nil {
		return err
	}
	return s.exec(ctx, `UPDATE blog_posts SET title = $1, content = $2, excerpt = $3, tags = $4, is_draft = $5, updated_at = $6 WHERE id = $7`,
		p.Title, p.Content, p.Excerpt, string(tags), p.IsDraft, p.UpdatedAt.UnixMicro(), p.ID)
}

func (s posts) remove(ctx context.Context, id string) error {
	return s.exec(ctx, `DELETE FROM blog_posts WHERE id = $1`, id)
}

// exec runs a statement that must change a row.
func (s posts) exec(ctx context.Context, query string, args ...any) error {
	n, err := s.db.Exec(ctx, query, args...)
	if err == nil && n == 0 {
		return errNoPost
	}
	return err
}

func (s posts) get(ctx context.Context, id string) (post, error) {
	found, err := s.query(ctx, `SELECT `+columns+` FROM blog_posts WHERE id = $1`, id)
	if err != nil {
		return post{}, err
	}
	if len(found) == 0 {
		return post{}, errNoPost
	}
	return found[0], nil
}

// list returns published posts and the drafts of viewer, newest first.
func (s posts) list(ctx context.Context, viewer, before string, limit int) ([]post, error) {
	if before == "" {
		before = "pst_~" // above every id
	}
	return s.query(ctx, `SELECT `+columns+` FROM blog_posts
		WHERE id < $1 AND (NOT is_draft OR author = $2) ORDER BY id DESC LIMIT $3`, before, viewer, limit)
}

func (s posts) query(ctx context.Context, query string, args ...any) ([]post, error) {
	out := []post{}
	err := s.db.Each(ctx, query, args, func(row sqlstore.Row) error {
		var p post
		var tags string
		var created, updated int64
		if err := row.Scan(&p.ID, &p.Author, &p.Title, &p.Content, &p.Excerpt, &tags, &p.IsDraft, &created, &updated); err != nil {
			return fmt.Errorf("blog: reading a post: %w", err)
		}
		if err := json.Unmarshal([]byte(tags), &p.Tags); err != nil {
			return fmt.Errorf("blog: tags of %s: %w", p.ID, err)
		}
		p.CreatedAt, p.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		out = append(out, p)
		return nil
	})
	return out, err
}
