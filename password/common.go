package password

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strings"
)

// commonGzip is the block list: about 18,000 common passwords of at least eight code points, folded, sorted, one a
// line. To make it anew from the npm package @zxcvbn-ts/language-common (MIT, see common_passwords.LICENSE.txt):
//
//	npm pack @zxcvbn-ts/language-common@4.1.3
//	tar -xzf zxcvbn-ts-language-common-4.1.3.tgz
//	go run commongen.go package/src/passwords.json
//
//go:embed common_passwords.txt.gz
var commonGzip []byte

// maxCommonBytes bounds what the embedded list unpacks to.
const maxCommonBytes = 4 << 20

// commonPasswords unpacks the block list: a sorted slice over one string, about half a megabyte.
func commonPasswords() ([]string, error) {
	r, err := gzip.NewReader(bytes.NewReader(commonGzip))
	if err != nil {
		return nil, fmt.Errorf("password: embedded block list: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(r, maxCommonBytes))
	if err != nil {
		return nil, fmt.Errorf("password: embedded block list: %w", err)
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if !slices.IsSorted(words) {
		return nil, fmt.Errorf("password: embedded block list: not sorted: make it anew with commongen.go")
	}
	return words, nil
}
