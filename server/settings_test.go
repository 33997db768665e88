package server_test

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The settings of the documents are settings of this version.
func TestSettingsOfTheDocumentsLoad(t *testing.T) {
	for _, doc := range []string{"../README.md", "../docs/operating.md", "../docs/cors.md", "../docs/shadow.md", "../docs/limits.md", "../docs/events.md"} {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		blocks := yamlBlock.FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s: no settings found", doc)
		}
		for _, block := range blocks {
			_, problems := server.LoadSettings(server.Source{
				File:    "merlon.yaml",
				Environ: []string{"MERLON_SECRET_KEY=" + rand.Text() + rand.Text()},
				Open: func(path string) (io.ReadCloser, error) {
					if path == "merlon.yaml" {
						return io.NopCloser(strings.NewReader(block[1])), nil
					}
					return nil, fs.ErrNotExist
				},
			})
			for _, p := range problems {
				t.Errorf("%s: %s", doc, p)
			}
		}
	}
}

// Every setting that docs/requirements.md names is one.
func TestSettingsOfTheRequirementsExist(t *testing.T) {
	text, err := os.ReadFile("../docs/requirements.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("setting `([a-z_.]+)`").FindAllStringSubmatch(string(text), -1)
	for _, m := range append(named, []string{"", "hots"}) {
		var yaml strings.Builder
		for depth, name := range strings.Split(m[1], ".") {
			yaml.WriteString(strings.Repeat("  ", depth) + name + ":\n")
		}
		_, problems := server.LoadSettings(server.Source{File: "merlon.yaml", Open: func(path string) (io.ReadCloser, error) {
			if path == "merlon.yaml" {
				return io.NopCloser(strings.NewReader(yaml.String())), nil
			}
			return nil, fs.ErrNotExist
		}})
		unknown := slices.ContainsFunc(problems, func(p server.Problem) bool { return p.ID == "merlon.E003" })
		if unknown != (m[1] == "hots") {
			t.Errorf("setting %s: unknown %v", m[1], unknown)
		}
	}
	if len(named) < 20 {
		t.Errorf("%d settings are named", len(named))
	}
}
