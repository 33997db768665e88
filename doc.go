// Package merlon protects HTTP APIs: one policy, secure with no configuration.
//
//	guard, err := merlon.New(merlon.Config{
//		Hosts:  []string{"api.example.com"},
//		Routes: []merlon.Route{{Pattern: "GET /posts", Public: true}},
//	})
//	...
//	http.ListenAndServeTLS(":8443", cert, key, guard.Handler(mux))
//
// A request passes the stages in this order:
//
//	clientip    whose request it is: the peer, or what trusted proxies forwarded
//	headers     security headers, set before anything can refuse: refusals carry them too
//	httpsonly   clear text: page navigations are redirected, all else is refused
//	firewall    hosts, methods, paths in normal form, header syntax
//	cors        preflights are answered here, never authenticated
//	ratelimit   by address: a flood is turned away before anything is looked up
//	route       what no route is declared for is refused (package authz)
//	csrf        cross-site requests: needs no session, so login is covered
//	authn       who the caller is: session cookie, access token or API key
//	csrf-token  only where the credential is ambient, the cookie (package csrf)
//	authz       whether the caller may: denied unless the route's policy allows it
//	ratelimit   by caller
//	validate    size, content type and form of the body
//
// Each is a package of its own and can be used alone as middleware, by its
// Handler; those of ratelimit and csrf do with one handler what they do here in
// two places. What is refused before ratelimit is counted by its guard all the
// same, so that nothing is free.
//
// A stage decides and acts on nothing; [Guard.Handler] acts. A control that is rolled
// out can be in shadow first: see [InsecureShadow]. Every refusal is an
// RFC 9457 problem document with a request id, and a typed event for the
// operator. The zero value of every stage's Config is its safe default, never
// "off": what relaxes a control has a name that begins with Insecure and takes a
// reason, which is logged at start.
package merlon
