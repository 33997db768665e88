// Does to every case of the page what a user might do: looks, clicks, focuses.
// Returns, for each case, what elements its document holds beside the judge's own.
// A case may give its elements the names of members of document, so these are taken
// from the prototype.
(async () => {
	const method = (doc, name, ...args) => Document.prototype[name].apply(doc, args);
	const member = (doc, name) => Object.getOwnPropertyDescriptor(Document.prototype, name).get.call(doc);
	const attempt = (f) => { try { f(); } catch { } };
	const fire = (e, type) => attempt(() => EventTarget.prototype.dispatchEvent.call(e, new Event(type, { bubbles: true, cancelable: true })));
	const report = {};
	for (const frame of document.querySelectorAll("iframe")) {
		const found = report[frame.dataset.case] = [];
		const doc = frame.contentDocument;
		const content = doc && method(doc, "querySelector", "#content");
		if (!content) {
			found.push({ tag: "lost", attributes: {}, scheme: "" }); // the document went elsewhere
			continue;
		}
		const body = member(doc, "body");
		// What scripts do with content: in by innerHTML, out again, in again.
		const copy = method(doc, "createElement", "div");
		copy.innerHTML = content.innerHTML;
		copy.innerHTML = copy.innerHTML;
		Element.prototype.append.call(body, copy);
		// A link to another page is no script: only those that may be one are followed.
		EventTarget.prototype.addEventListener.call(doc, "click", (e) => {
			const a = e.target.closest && e.target.closest("a[href], area[href]");
			if (a && typeof a.href === "string" && a.protocol !== "javascript:" && a.protocol !== "data:") e.preventDefault();
		}, true);
		const own = [content, copy, body, member(doc, "documentElement"), member(doc, "head"), ...member(doc, "head").querySelectorAll("[data-judge]")];
		for (const e of [...method(doc, "querySelectorAll", "*")]) {
			if (own.includes(e)) continue;
			const attributes = {};
			for (const name of Element.prototype.getAttributeNames.call(e)) attributes[name] = Element.prototype.getAttribute.call(e, name);
			found.push({ tag: e.localName + "", attributes, scheme: typeof e.href === "string" && "href" in attributes ? e.protocol + "" : "" });
			attempt(() => e.focus());
			attempt(() => e.click ? e.click() : fire(e, "click"));
			for (const type of ["mouseover", "mouseenter", "mousemove", "mousedown", "pointerover", "keydown", "wheel"]) fire(e, type);
			for (const name of Object.keys(attributes)) if (name.startsWith("on")) fire(e, name.slice(2));
			attempt(() => e.blur());
		}
	}
	await new Promise((done) => setTimeout(done, 100));
	return report;
})()
