package blog

import (
	"errors"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/authz"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/validate"
)

// draft is a post as it is written.
type draft struct {
	Title   string                    `json:"title" text:"line" minLength:"1" maxLength:"200" doc:"Plain text." example:"On crenels"`
	Content string                    `json:"content" text:"rich" minLength:"10" maxLength:"65536" doc:"HTML of p, br, strong, em, a, ul, ol and li; all else is removed." example:"<p>The gap between two merlons.</p>"`
	Excerpt validate.Optional[string] `json:"excerpt" text:"prose" maxLength:"300" doc:"Plain text."`
	Tags    []string                  `json:"tags" optional:"true" text:"identifier" minLength:"2" maxLength:"50" pattern:"[a-z0-9_-][a-z0-9 _-]{0,48}[a-z0-9_-]" maxItems:"10" uniqueItems:"drop"`
	IsDraft bool                      `json:"is_draft" optional:"true" doc:"Drafts are shown to their author only."`
}

// Check refuses content of more bytes than is kept: 64 KiB.
func (d *draft) Check(r *validate.Report) { checkContent(r, d.Content) }

// revision is what PATCH changes: members that are not sent stay as they are.
type revision struct {
	Title   validate.Optional[string]   `json:"title" null:"false" text:"line" minLength:"1" maxLength:"200"`
	Content validate.Optional[string]   `json:"content" null:"false" text:"rich" minLength:"10" maxLength:"65536"`
	Excerpt validate.Optional[string]   `json:"excerpt" text:"prose" maxLength:"300"`
	Tags    validate.Optional[[]string] `json:"tags" text:"identifier" minLength:"2" maxLength:"50" pattern:"[a-z0-9_-][a-z0-9 _-]{0,48}[a-z0-9_-]" maxItems:"10" uniqueItems:"drop"`
	IsDraft validate.Optional[bool]     `json:"is_draft" null:"false"`
}

func (v *revision) Check(r *validate.Report) { checkContent(r, v.Content.Value) }

func checkContent(r *validate.Report, content string) {
	if len(content) > 64<<10 && !r.Has("/content") {
		r.Add("/content", "too-long", "Must have at most 64 KiB.")
	}
}

// post is a post as it is stored and answered.
type post struct {
	ID        string    `json:"id" maxLength:"40" example:"pst_0198c0de-0000-7000-8000-000000000000"`
	Author    string    `json:"author" maxLength:"40" doc:"The id of the account that wrote it."`
	Title     string    `json:"title" maxLength:"200"`
	Content   string    `json:"content" text:"rich" maxLength:"65536"`
	Excerpt   *string   `json:"excerpt" text:"prose" maxLength:"300"`
	Tags      []string  `json:"tags" maxLength:"50" maxItems:"10"`
	IsDraft   bool      `json:"is_draft"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

type page struct {
	Items      []post  `json:"items" maxItems:"100"`
	NextCursor *string `json:"next_cursor" maxLength:"200"`
}

type listing struct {
	Limit  int    `query:"limit" default:"20" minimum:"1" maximum:"100"`
	Cursor string `query:"cursor" text:"token" maxLength:"64" doc:"The next_cursor of the page before."`
}

type blog struct{ posts posts }

func notFound() error { return problem.New(problem.NotFound, "There is no such post.") }

func (b *blog) create(c *module.Call, d *draft) (post, error) {
	now := c.Now().Truncate(time.Microsecond)
	p := post{
		ID: newID(now), Author: c.Principal().Subject,
		Title: d.Title, Content: d.Content, Tags: d.Tags, IsDraft: d.IsDraft,
		CreatedAt: now, UpdatedAt: now,
	}
	if d.Excerpt.Set && !d.Excerpt.Null {
		p.Excerpt = &d.Excerpt.Value
	}
	if p.Tags == nil {
		p.Tags = []string{}
	}
	if err := b.posts.create(c, p); err != nil {
		return post{}, err
	}
	c.Header().Set("Location", "/api/v1/posts/"+p.ID)
	return p, nil
}

func (b *blog) list(c *module.Call, q *listing) (page, error) {
	before, ok := parseCursor(q.Cursor)
	if !ok {
		return page{}, problem.New(problem.InvalidContent, "The query has a value that this call does not accept.").
			WithErrors(problem.FieldError{Pointer: "/cursor", Code: "format", Detail: "Must be the next_cursor of a page."})
	}
	items, err := b.posts.list(c, viewer(c), before, q.Limit+1)
	if err != nil {
		return page{}, err
	}
	out := page{Items: items}
	if len(items) > q.Limit {
		out.Items = items[:q.Limit]
		next := out.Items[q.Limit-1].ID
		out.NextCursor = &next
	}
	return out, nil
}

// viewer returns whose drafts the caller may see. A key needs posts:read for that.
func viewer(c *module.Call) string {
	if p := c.Principal(); p.Has(ScopeRead) {
		return p.Subject
	}
	return ""
}

func (b *blog) read(c *module.Call) (post, error) {
	p, err := b.find(c)
	if err != nil {
		return post{}, err
	}
	if p.IsDraft && p.Author != viewer(c) {
		return post{}, notFound()
	}
	return p, nil
}

func (b *blog) find(c *module.Call) (post, error) {
	id := c.Path("id")
	if !isID(id) {
		return post{}, notFound()
	}
	p, err := b.posts.get(c, id)
	if errors.Is(err, errNoPost) {
		return post{}, notFound()
	}
	return p, err
}

// own returns the post of the path if the caller may change it. To others a
// draft does not exist, and a post is refused.
func (b *blog) own(c *module.Call) (post, error) {
	p, err := b.find(c)
	if err != nil {
		return post{}, err
	}
	if authz.MayActOn(c.Principal(), p.Author, "admin") {
		return p, nil
	}
	c.Record(audit.ForeignObject("A caller tried to change a post of another account."))
	if p.IsDraft {
		return post{}, notFound()
	}
	return post{}, problem.New(problem.Forbidden, "Only its author may change a post.")
}

func (b *blog) change(c *module.Call, v *revision) (post, error) {
	p, err := b.own(c)
	if err != nil {
		return post{}, err
	}
	v.Title.Apply(&p.Title)
	v.Content.Apply(&p.Content)
	v.IsDraft.Apply(&p.IsDraft)
	if v.Excerpt.Set {
		p.Excerpt = nil
		if !v.Excerpt.Null {
			p.Excerpt = &v.Excerpt.Value
		}
	}
	if v.Tags.Set {
		p.Tags = append([]string{}, v.Tags.Value...)
	}
	p.UpdatedAt = c.Now().Truncate(time.Microsecond)
	if err := b.posts.update(c, p); err != nil {
		if errors.Is(err, errNoPost) {
			return post{}, notFound() // deleted in between
		}
		return post{}, err
	}
	return p, nil
}

func (b *blog) remove(c *module.Call) (module.None, error) {
	p, err := b.own(c)
	if err != nil {
		return module.None{}, err
	}
	if err := b.posts.remove(c, p.ID); err != nil && !errors.Is(err, errNoPost) {
		return module.None{}, err
	}
	return module.None{}, nil
}
