package server_test

import (
	"crypto/rand"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/merlonhq/merlon/server"
)

var yamlBlock = regexp.MustCompile("(?s)```yaml\n(.*?)```")

// The settings of the documents are settings of this version.
func TestSettingsOfTheDocumentsLoad(t *testing.T) {
	for _, doc := range []string{"../README.md", "../docs/operating.md", "../docs/cors.md", "../docs/shadow.md", "../docs/limits.md"} {
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
