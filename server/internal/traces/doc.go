// Package traces tells an OpenTelemetry collector what requests do: a span for each
// request, with the control that refused it, and one for each call of a store. Spans
// carry names of this program, such as declared paths, and nothing that a client wrote:
// no path, no query, no header, no address.
//
// The trace of a request is continued from a trusted proxy (W3C Trace Context). What
// anybody else sends is linked to, and decides nothing: neither the id nor whether the
// request is sampled.
package traces
