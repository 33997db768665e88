// Package acme obtains the certificates of the service from an ACME authority (RFC
// 8555) and renews them. The protocol is github.com/mholt/acmez's; what is here decides
// when, keeps the files, and answers the challenges on the listeners that the service
// has anyway: HTTP-01 in clear text, TLS-ALPN-01 (RFC 8737) over TLS.
//
// Names come from the settings and never from a client. While the authority refuses, is
// slow or away, the certificate before is served on.
package acme
