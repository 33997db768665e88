package main

import (
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/module"
)

// still returns a module whose routes touch no store. What reaches them was let through by the controls alone: where a
// control took a store that is away for a yes, nothing behind it says no.
func still() module.Module {
	const scope = "still:use"
	answer := module.Bare(200, func(*module.Call) (reached, error) { return reached{true}, nil })
	return module.Module{
		Name:   "still",
		Scopes: []module.Scope{{Name: scope, Description: "Reach what needs no store.", Roles: []string{"user"}}},
		Routes: func(module.Host) []module.Route {
			return []module.Route{
				{Policy: route.Route{Pattern: "GET /api/v1/still", Scopes: []string{scope}}, Summary: "Be reached", Endpoint: answer},
				{Policy: route.Route{Pattern: "POST /api/v1/still", Scopes: []string{scope}}, Summary: "Be reached by what changes something", Endpoint: answer},
				{Policy: route.Route{Pattern: "GET /api/v1/still/account", AccountOnly: true}, Summary: "Be reached by an account", Endpoint: answer},
			}
		},
	}
}

type reached struct {
	Reached bool `json:"reached"`
}
