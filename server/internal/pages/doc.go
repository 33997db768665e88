// Package pages holds the pages that the service shows to people: the API's
// documentation, the end of a session, and what they load. Everything is in the
// binary; nothing is loaded from elsewhere.
package pages
