// Package blog is a posts API built on Merlon's service: the example of a module.
//
// It shows what a Go team writes and what it does not write. It writes its
// table, its routes with who may call them, its types with their rules, and its
// queries. It does not write authentication, limits, CSRF, CORS, headers, body
// limits, JSON checks, sanitising, events or an OpenAPI document.
package blog

import (
	"embed"
	"io/fs"

	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/module"
)

//go:embed migrations/*.sql migrations/postgres/*.sql
var migrations embed.FS

// Scopes of the blog.
const (
	ScopeRead  = "posts:read"
	ScopeWrite = "posts:write"
)

// maxBody holds the largest content, a title, an excerpt and tags, all escaped.
const maxBody = 512 << 10

// Module returns the blog.
func Module() module.Module {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the path is a constant of this file
	}
	return module.Module{
		Name: "blog",
		Scopes: []module.Scope{
			{Name: ScopeRead, Description: "Read one's own drafts.", Roles: []string{"user"}},
			{Name: ScopeWrite, Description: "Write, change and delete one's own posts.", Roles: []string{"user"}},
		},
		Migrations: sub,
		Routes:     routes,
	}
}

func routes(host module.Host) []module.Route {
	b := &blog{posts: posts{db: host.DB}}
	return []module.Route{
		{
			Policy:   route.Route{Pattern: "POST /api/v1/posts", Scopes: []string{ScopeWrite}, MaxBody: maxBody},
			Summary:  "Write a post",
			Endpoint: module.Body(201, b.create),
		},
		{
			Policy:   route.Route{Pattern: "GET /api/v1/posts", Public: true},
			Summary:  "List posts, newest first",
			Endpoint: module.Query(200, b.list),
		},
		{
			Policy:   route.Route{Pattern: "GET /api/v1/posts/{id}", Public: true},
			Summary:  "Read a post",
			Endpoint: module.Bare(200, b.read),
		},
		{
			Policy:   route.Route{Pattern: "PATCH /api/v1/posts/{id}", Scopes: []string{ScopeWrite}, MaxBody: maxBody},
			Summary:  "Change a post",
			Endpoint: module.Body(200, b.change),
		},
		{
			Policy:   route.Route{Pattern: "DELETE /api/v1/posts/{id}", Scopes: []string{ScopeWrite}},
			Summary:  "Delete a post",
			Endpoint: module.Bare(204, b.remove),
		},
	}
}
