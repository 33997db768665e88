// Package browser holds the tests that need a real browser: Chromium, headless,
// against the built program. What a browser does with markup, cookies and requests
// of other sites is its own to say; nothing here compares strings where the
// browser can be asked.
//
// It is a module of its own, so that the driver of the browser is no dependency of
// Merlon. The tests need chromium on the PATH (Debian: apt-get install chromium);
// they skip without it, and fail without it where CI is "true".
package browser
