// Package sanitize turns text that came from outside into text that carries no
// active markup.
//
// It offers two forms and no policy language:
//
//   - [Plain] for fields that are text: every tag, comment and declaration
//     goes, script and style elements go with their contents, and whatever is
//     not markup stays byte for byte: O'Brien, 1 < 2, a & b, &lt;.
//   - [Rich] for the few fields that are HTML: the elements p, br, strong, em,
//     a, ul, ol and li, links to http, https and mailto, and nothing else.
//
// [HasControl] finds characters that no honest name or sentence contains, and
// [Threats] says what kind of attack the removed markup was, for an event.
//
// What it lets pass: text that is dangerous somewhere else than in HTML. The
// result of Plain is text, not HTML: a page that prints it must still escape
// it, since &lt;script&gt; is kept as sent. SQL, shells and templates are not
// its business; parameters and escaping are.
package sanitize
