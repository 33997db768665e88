// Package validate checks what comes in: that a body is of the type, the size
// and the shape that its route accepts, and that its members are what the call
// says they are.
//
// It works in two steps, which can be used apart:
//
//   - [Validator] is the stage. It reads the body once, up to the route's limit,
//     and refuses other content types, content codings, malformed JSON,
//     duplicate members, nesting and member counts beyond the limits.
//   - [Schema] is what a handler reads the body with: a Go struct whose tags say
//     what is accepted, in the words of JSON Schema. It refuses unknown, missing
//     and wrong members, all at once, cleans text as its tags say, and reports
//     what looked like an attack. [Query] does the same for query parameters.
//     The OpenAPI document is made from the very same rules.
//
// [CheckJSON] and [CutMember] are the scanner on its own; [SQLInjection] and
// [ScriptInjection] the detectors.
//
// No error holds a value that was sent. A member name is repeated in a JSON
// pointer only, cut and escaped.
//
// What it lets pass: anything in a member of the policy secret, SQL in prose,
// and media types other than JSON that a route asks for, which are checked for
// size only. XML never passes. What it does not do: undo content codings, and
// decide whether a value is right for the account at hand.
package validate
