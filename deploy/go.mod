// The files of a deployment, and the tests that hold them to their formats. They need
// the schemas of others, which are none of the library's: its users do not inherit them.
module github.com/merlonhq/merlon/deploy

go 1.26.7

require golang.org/x/sys v0.49.0
