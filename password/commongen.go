//go:build ignore

// The command commongen makes common_passwords.txt.gz from the passwords.json of @zxcvbn-ts/language-common: the
// passwords of at least eight code points, in lower case, sorted, without duplicates, one a line. See common.go.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run commongen.go passwords.json")
	}
	if err := run(os.Args[1], "common_passwords.txt.gz"); err != nil {
		log.Fatal(err)
	}
}

func run(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var words []string
	if err := json.Unmarshal(data, &words); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	kept := words[:0]
	for _, w := range words {
		if utf8.RuneCountInString(w) < 8 {
			continue
		}
		for _, r := range w {
			if r <= ' ' || r > '~' { // the library folds; this program does not: look at the entry and decide
				return fmt.Errorf("%s: an entry is not printable ASCII: %q", from, w)
			}
		}
		kept = append(kept, strings.ToLower(w))
	}
	slices.Sort(kept)
	kept = slices.Compact(kept)

	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // no name and no time in the header: the same bytes every time
	if err != nil {
		return err
	}
	for _, w := range kept {
		fmt.Fprintln(z, w)
	}
	if err := z.Close(); err != nil {
		return err
	}
	fmt.Printf("%d passwords, %d bytes\n", len(kept), out.Len())
	return os.WriteFile(to, out.Bytes(), 0o644)
}
