// Package module is how a Go team extends the service: a [Module] brings routes
// with their policy, scopes with the roles that hold them, and migrations.
//
// The service's own routes are declared the same way, so a module can do what
// the service can. One declaration of a [Route] gives the policy, the checks of
// body and query, the dispatch and the OpenAPI document; none of them can
// disagree with another.
package module

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"

	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/store/sqlstore"
)

// A Module is a part of an API that the service protects.
type Module struct {
	// Name is the module's short name: a lower-case letter, then up to 31 of
	// [a-z0-9_]. It names the module's table of applied migrations. Required.
	Name string
	// Scopes are the scopes that the module's routes ask for.
	Scopes []Scope
	// Migrations holds the module's SQL migrations, files such as
	// 00001_posts.sql in the format of goose, forward only. Those at its root are
	// for SQLite and PostgreSQL; one in a directory postgres or sqlite takes the
	// place of the file of its name there ([sqlstore.Dialect.Select]). In PostgreSQL
	// write TEXT COLLATE "C" for text that is ordered as bytes. Nil means none.
	Migrations fs.FS
	// Routes returns the module's routes. Required. It is called once, when the
	// service starts, to declare: the database is open when the first call is
	// answered, not yet then.
	Routes func(Host) []Route
}

// Check returns all that is wrong with m but for its routes, which the service
// checks with all others.
func (m Module) Check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("module %q: "+format, append([]any{m.Name}, args...)...))
	}
	if !IsName(m.Name) {
		bad("Name must be a lower-case letter and up to 31 of a-z, 0-9 and _")
	}
	if m.Routes == nil {
		bad("Routes is nil: set it to the function that declares them")
	}
	seen := map[string]bool{}
	for _, s := range m.Scopes {
		if s.Name == "" {
			bad("a scope has no name")
		}
		if seen[s.Name] {
			bad("scope %q is declared twice", s.Name)
		}
		seen[s.Name] = true
	}
	return errors.Join(errs...)
}

var name = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// IsName reports whether s can be the name of a module.
func IsName(s string) bool { return name.MatchString(s) }

// A Scope is something that a caller may do.
type Scope struct {
	// Name is such as "posts:write".
	Name string
	// Description is one sentence for whoever grants it.
	Description string
	// Roles are the roles, beside admin, whose accounts hold the scope.
	Roles []string
}

// A Host is what the service gives to a module.
type Host struct {
	// DB is the service's database, for the module's own tables, once calls are
	// answered. Its calls have deadlines, and its outages are answered with 503.
	DB *sqlstore.DB
}

// A Route is one route: what it is for, who may call it, and what it does.
type Route struct {
	// Policy says who may call the route, and what its bodies may be.
	Policy route.Route
	// Summary is a few words for the OpenAPI document.
	Summary string
	// Description is a paragraph for the OpenAPI document. Optional.
	Description string
	// Endpoint does what the route is for.
	Endpoint Endpoint
}
