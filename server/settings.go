package server

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"

	"github.com/merlonhq/merlon"
	"github.com/merlonhq/merlon/cors"
	"github.com/merlonhq/merlon/headers"
	"github.com/merlonhq/merlon/httpsonly"
	"github.com/merlonhq/merlon/password"
	"github.com/merlonhq/merlon/ratelimit"
	"github.com/merlonhq/merlon/route"
	"github.com/merlonhq/merlon/server/internal/config"
	"github.com/merlonhq/merlon/server/module"
)

// Settings are the settings of the service. They are made by [LoadSettings].
type Settings = config.Settings

// Source says where settings come from.
type Source = config.Source

// Problem is one thing that is wrong with the settings.
type Problem = config.Problem

// LoadSettings reads the settings: the file, then the environment. It reports
// every problem at once; [Fatal] tells whether one of them stops the service.
func LoadSettings(src Source) (Settings, []Problem) { return config.Load(src) }

// Fatal reports whether one of the problems stops the service.
func Fatal(problems []Problem) bool { return config.Fatal(problems) }

// policy makes the policy of the guard of the settings and the routes.
func policy(set Settings, routes []module.Route, log *slog.Logger) merlon.Config {
	var declared []merlon.Route
	for _, r := range routes {
		declared = append(declared, r.Policy)
	}
	cfg := merlon.Config{
		Environment: merlon.Environment(set.Environment),
		Routes:      declared,
		Hosts:       set.Hosts,
		Origins:     set.Origins,
		Secret:      []byte(set.SecretKey.Reveal()),
		ErrorLog:    log,
		Headers:     headers.Config{Profile: headers.Profile(set.Headers.Profile), HSTSMaxAge: set.Headers.HSTSMaxAge},
		HTTPSOnly:   httpsonly.Config{},
		CORS: cors.Config{
			Credentials: set.CORS.Credentials, Methods: set.CORS.Methods, RequestHeaders: set.CORS.RequestHeaders,
			ExposedHeaders: set.CORS.ExposedHeaders, MaxAge: set.CORS.MaxAge,
		},
		RateLimit: limits(set.RateLimits, declared, log),
	}
	if set.CORS.MaxAge == 0 {
		cfg.CORS.MaxAge = -1 // the settings' 0 means not at all, the stage's means the default
	}
	for _, secret := range set.SecretKeyPrevious {
		cfg.PreviousSecrets = append(cfg.PreviousSecrets, []byte(secret.Reveal()))
	}
	for _, p := range set.TrustedProxies {
		cfg.ClientIP.TrustedProxies = append(cfg.ClientIP.TrustedProxies, p.String())
	}
	return cfg
}

func limits(set config.RateLimits, routes []merlon.Route, log *slog.Logger) ratelimit.Config {
	one := func(l config.Limit) []ratelimit.Limit { return []ratelimit.Limit{{Max: l.Limit, Window: l.Window}} }
	cfg := ratelimit.Config{
		Default:        ratelimit.Rule{Limits: one(set.Default), By: parts(set.Default.By)},
		Address:        ratelimit.Rule{Limits: one(set.Address)},
		BadCredentials: ratelimit.Rule{Limits: one(set.BadCredentials)},
		OnStoreError:   ratelimit.Deny,
	}
	if set.OnStoreError == "allow" {
		cfg.OnStoreError = ratelimit.Allow
	}
	for _, r := range set.Rules {
		rule := ratelimit.Rule{Name: r.Name, By: parts(r.By), Limits: []ratelimit.Limit{{Max: r.Limit, Window: r.Window}}}
		if r.Count == config.CountFailures {
			rule.Count = ratelimit.CountFailures
		}
		for _, pattern := range r.Match {
			found := covered(pattern, routes)
			if len(found) == 0 {
				// One file may serve several versions and sets of modules.
				log.Warn("a rate limit matches no route of this server", "rule", r.Name, "match", pattern)
			}
			for _, p := range found {
				if !slices.Contains(rule.Match, p) {
					rule.Match = append(rule.Match, p)
				}
			}
		}
		if len(rule.Match) > 0 {
			cfg.Rules = append(cfg.Rules, rule)
		}
	}
	return cfg
}

// covered returns the patterns of the routes that a rule's pattern covers: the
// route itself, or all routes below "/api/{rest...}".
func covered(pattern string, routes []merlon.Route) []string {
	table, err := route.New([]route.Route{{Pattern: pattern, Public: true}})
	if err != nil {
		return nil // the settings have refused it
	}
	var found []string
	for _, r := range routes {
		method, path, _ := strings.Cut(r.Pattern, " ")
		if r.Pattern == pattern || table.Match(method, variable.ReplaceAllString(path, "x")).Route != nil {
			found = append(found, r.Pattern)
		}
	}
	return found
}

// variable is a segment of a pattern that stands for any.
var variable = regexp.MustCompile(`\{[^}]+\}`)

func parts(by []string) []ratelimit.Part {
	var out []ratelimit.Part
	for _, p := range by {
		out = append(out, ratelimit.Part(p))
	}
	return out
}

func hasher(set config.Password) (*password.Hasher, error) {
	return password.NewHasher(password.HasherConfig{
		Algorithm: password.Algorithm(set.Algorithm), MemoryKiB: uint32(set.MemoryKiB), Time: uint32(set.Time),
		Threads: uint8(set.Threads), BcryptCost: set.BcryptCost,
	})
}

func passwordPolicy(set config.Password) (*password.Policy, error) {
	cfg := password.PolicyConfig{MinLength: set.MinLength}
	if set.Algorithm == string(password.Bcrypt) {
		cfg.MaxBytes = 72 // bcrypt reads no more; what is longer is refused, not cut
	}
	return password.NewPolicy(cfg)
}
