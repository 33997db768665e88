// What a page of another origin can try with the browser of somebody who is logged
// in to t.api. An attack that changes something writes its name into what it
// changes. Each returns what it could read, "" for nothing. t.post is the id of a
// post of the victim, t.thief an account of the attacker's.
const title = (name) => ({ title: name, content: "written by an attack: " + name });
const settle = (done, after = 400) => new Promise((resolve) => { done(resolve); setTimeout(resolve, after); });

// form sends a form of the fields as another page does, into a frame.
const form = async (action, fields, enctype, method = "POST", target) => {
	const frame = document.createElement("iframe");
	frame.name = "f" + Math.random();
	document.body.append(frame);
	const f = document.createElement("form");
	Object.assign(f, { action, method, enctype, target: target || frame.name });
	for (const [name, value] of Object.entries(fields)) {
		const field = document.createElement("input");
		Object.assign(field, { name, value });
		f.append(field);
	}
	document.body.append(f);
	await settle((done) => { frame.onload = done; f.submit(); });
	let read = "";
	try { read = frame.contentDocument.body.innerText; } catch { } // of another origin
	f.remove();
	frame.remove();
	return read;
};

// spelled spells JSON with the one field of a form of plain text.
const spelled = (object) => {
	const text = JSON.stringify(object);
	const cut = text.length - 2; // before the last quotation mark
	return { [text.slice(0, cut)]: text.slice(cut) };
};

const ask = async (address, options) => {
	try {
		const answer = await fetch(address, { credentials: "include", ...options });
		return await answer.text();
	} catch { return ""; } // of another origin, or refused before it was sent
};

const json = (body, method = "POST") => ({ method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

const embedded = (tag, attribute, address) => settle((done) => {
	const e = document.createElement(tag);
	if (tag === "link") e.rel = "stylesheet";
	e.onload = () => { let read = "loaded"; try { read = e.contentDocument.body.innerText; } catch { } done(tag === "iframe" ? "" : read); };
	e.onerror = () => done("");
	e[attribute] = address;
	document.body.append(e);
}).then((read) => read || "");

// changes are the attacks that would change something.
const changes = {
	"a form": (t, n) => form(t.api + "/api/v1/posts", title(n), "application/x-www-form-urlencoded"),
	"a form with an empty token": (t, n) => form(t.api + "/api/v1/posts", { ...title(n), csrf_token: "" }, "application/x-www-form-urlencoded"),
	"a multipart form": (t, n) => form(t.api + "/api/v1/posts", title(n), "multipart/form-data"),
	"a form that spells JSON": (t, n) => form(t.api + "/api/v1/posts", spelled(title(n)), "text/plain"),
	"a form in a new window": async (t, n) => {
		const w = open("about:blank", "w");
		await form(t.api + "/api/v1/posts", spelled(title(n)), "text/plain", "POST", "w");
		let read = "";
		try { read = w.document.body.innerText; } catch { }
		if (w) w.close();
		return read;
	},
	"a form that logs out": (t) => form(t.api + "/api/v1/auth/logout", {}, "application/x-www-form-urlencoded"),
	"a form of another method": (t, n) => form(t.api + "/api/v1/posts/" + t.post, { _method: "DELETE" }, "application/x-www-form-urlencoded"),
	"JSON as plain text, without CORS": (t, n) => ask(t.api + "/api/v1/posts", { method: "POST", mode: "no-cors", body: JSON.stringify(title(n)) }),
	"JSON without a type, without CORS": (t, n) => ask(t.api + "/api/v1/posts", { method: "POST", mode: "no-cors", body: new Blob([JSON.stringify(title(n))]) }),
	"JSON as plain text, with CORS": (t, n) => ask(t.api + "/api/v1/posts", { method: "POST", body: JSON.stringify(title(n)) }),
	"a beacon": async (t, n) => { navigator.sendBeacon(t.api + "/api/v1/posts", JSON.stringify(title(n))); await settle(() => { }, 100); return ""; },
	"a request that outlives the page": (t, n) => ask(t.api + "/api/v1/posts", { method: "POST", mode: "no-cors", keepalive: true, body: JSON.stringify(title(n)) }),
	"a form that registers": (t, n) => form(t.api + "/api/v1/users", spelled({ username: "forged", email: "forged@example.com", password: "eleven crenels in a row" }), "text/plain"),
	"a form that logs in as the attacker": (t) => form(t.api + "/api/v1/auth/login", t.thief, "application/x-www-form-urlencoded"),
	"a form that spells a login as the attacker": (t) => form(t.api + "/api/v1/auth/login", spelled(t.thief), "text/plain"),
	"a login as the attacker, without CORS": (t) => ask(t.api + "/api/v1/auth/login", { method: "POST", mode: "no-cors", body: JSON.stringify(t.thief) }),
	"a form that asks for tokens": (t) => form(t.api + "/api/v1/auth/token", { grant_type: "password", ...t.thief }, "application/x-www-form-urlencoded"),
};

// preflighted are those that a browser asks about first.
const preflighted = {
	"JSON, with CORS": (t, n) => ask(t.api + "/api/v1/posts", json(title(n))),
	"a made-up token, with CORS": (t, n) => ask(t.api + "/api/v1/posts", { method: "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": "x" }, body: JSON.stringify(title(n)) }),
	"PATCH": (t, n) => ask(t.api + "/api/v1/users/me", json({ bio: n }, "PATCH")),
	"PUT": (t, n) => ask(t.api + "/api/v1/posts/" + t.post, json(title(n), "PUT")),
	"DELETE": (t) => ask(t.api + "/api/v1/posts/" + t.post, { method: "DELETE" }),
	"a header of another method": (t) => ask(t.api + "/api/v1/posts/" + t.post, { method: "POST", headers: { "X-HTTP-Method-Override": "DELETE" } }),
};

// reads are those that would learn something.
const reads = {
	"fetch, with CORS": (t) => ask(t.api + "/api/v1/users/me"),
	"fetch, without CORS": (t) => ask(t.api + "/api/v1/users/me", { mode: "no-cors" }),
	"fetch of a token": (t) => ask(t.api + "/csrf/token"),
	"fetch of the sessions": (t) => ask(t.api + "/api/v1/auth/sessions"),
	"XMLHttpRequest": (t) => settle((done) => {
		const x = new XMLHttpRequest();
		x.withCredentials = true;
		x.onloadend = () => done(x.responseText);
		x.open("GET", t.api + "/api/v1/users/me");
		x.send();
	}).then((read) => read || ""),
	"an image": (t) => embedded("img", "src", t.api + "/api/v1/users/me"),
	"a script": (t) => embedded("script", "src", t.api + "/api/v1/users/me"),
	"a style sheet": (t) => embedded("link", "href", t.api + "/api/v1/users/me"),
	"a frame": (t) => embedded("iframe", "src", t.api + "/api/v1/users/me"),
	"an object": (t) => embedded("object", "data", t.api + "/api/v1/users/me").then((read) => read === "loaded" ? "" : read),
	"a window": async (t) => {
		const w = open(t.api + "/api/v1/users/me", "r");
		await settle(() => { }, 300);
		let read = "";
		try { read = w.document.body.innerText; } catch { }
		if (w) w.close();
		return read;
	},
	"a stream of events": (t) => settle((done) => {
		const s = new EventSource(t.api + "/api/v1/users/me", { withCredentials: true });
		s.onmessage = (e) => done(e.data);
		s.onerror = () => { s.close(); done(""); };
	}).then((read) => read || ""),
	"a document.domain": async (t) => { try { document.domain = "localhost"; } catch { } return ask(t.api + "/api/v1/users/me"); },
};

// attack runs a family of attacks one after the other, and returns what each read.
const attack = async (family, t) => {
	const read = {};
	for (const [name, run] of Object.entries(family)) read[name] = await run(t, name);
	return read;
};
