package config

import "strings"

const templateHead = `# Settings of Merlon, for production. A line that begins with # and a name has the
# default behind it: remove the # to change it. Check the file before a start with
# merlon check --config FILE. Fill in before the first start:
#
#   hosts       the names of this service, below
#   tls         cert and key; or acme, or trusted_proxies: the proxy that terminates TLS
#   secret_key  not in this file:
#                 merlon secrets generate --output secret_key
#                 export MERLON_SECRET_KEY_FILE=secret_key
#               or mount it as /run/secrets/secret_key
#
# An environment variable wins over this file: MERLON_AUDIT__LOG is audit.log.
`

// openInTemplate are the settings that a template leaves to be filled in.
var openInTemplate = map[string]bool{"environment": true, "hosts": true, "tls.cert": true, "tls.key": true}

// Template returns a settings file with every setting, its meaning and its default.
// What production requires is there to be filled in; secrets are not.
func Template() []byte {
	s := defaults(Production)
	mean := meanings()
	var b strings.Builder
	b.WriteString(templateHead)
	section := ""
	for _, f := range settings() {
		path := strings.Split(f.name, ".")
		leaf := len(path) - 1
		for depth := range leaf {
			if name := strings.Join(path[:depth+1], ".") + "."; !strings.HasPrefix(section, name) {
				if depth == 0 {
					b.WriteByte('\n')
				}
				b.WriteString(strings.Repeat("  ", depth) + path[depth] + ":\n")
				section = name
			}
		}
		if leaf == 0 {
			section = ""
			b.WriteByte('\n')
		}
		indent := strings.Repeat("  ", leaf)
		off := "#"
		if openInTemplate[f.name] {
			off = ""
		}
		comment := "# " + mean[f.name]
		switch takes := accepts(f.place(&s), f.spec); {
		case len(f.spec.oneOf) > 1, strings.Contains(takes, " to "):
			comment += " Takes " + takes + "."
		}
		if NeedsRestart(f.name) != "" {
			comment += " A change takes a restart."
		}
		b.WriteString(indent + comment + "\n")
		switch p := f.place(&s).(type) {
		case *Secret:
			b.WriteString(indent + off + path[leaf] + ": " + yamlText(p.Reveal()) + "\n")
		case *[]Rule:
			var rules strings.Builder
			for _, r := range *p {
				writeRule(&rules, "  ", r)
			}
			b.WriteString(indent + off + path[leaf] + ":\n")
			for line := range strings.Lines(rules.String()) {
				b.WriteString(indent + off + line)
			}
		default:
			b.WriteString(indent + off + path[leaf] + ": " + yamlValue(p) + "\n")
		}
	}
	return []byte(b.String())
}
