package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/merlonhq/merlon/exchange"
	"github.com/merlonhq/merlon/problem"
)

// AssetsPattern is the pattern of the route that [Pages.Assets] answers. The path
// changes with the content, so answers may be kept for ever.
const AssetsPattern = "GET /assets/{hash}/{file}"

//go:embed files/* swagger-ui/*.gz
var embedded embed.FS

// asset is a file that pages load.
type asset struct {
	hash        string // of content: 64 bits in hexadecimal
	integrity   string // of content unpacked, as Subresource Integrity section 3.1 writes it
	contentType string
	content     []byte
	packed      bool // content is gzip
}

// loadAssets returns the assets by the name that pages know them by.
func loadAssets() (map[string]asset, error) {
	assets := map[string]asset{}
	for _, file := range []string{
		"files/docs.js", "files/merlon.svg", "files/pages.css", "swagger-ui/swagger-ui-bundle.js.gz", "swagger-ui/swagger-ui.css.gz",
	} {
		content, err := embedded.ReadFile(file)
		if err != nil {
			return nil, err
		}
		name, packed := strings.CutSuffix(path.Base(file), ".gz")
		sum := sha256.Sum256(content)
		a := asset{hash: hex.EncodeToString(sum[:8]), content: content, packed: packed}
		if a.integrity, err = a.sri(); err != nil {
			return nil, fmt.Errorf("pages: %s: %w", file, err)
		}
		switch path.Ext(name) {
		case ".js":
			a.contentType = "text/javascript; charset=utf-8"
		case ".css":
			a.contentType = "text/css; charset=utf-8"
		case ".svg":
			a.contentType = "image/svg+xml"
		default:
			return nil, fmt.Errorf("pages: the type of %s is not known", file)
		}
		assets[name] = a
	}
	return assets, nil
}

// sri returns the integrity metadata of the content as a browser sees it.
func (a asset) sri() (string, error) {
	var content io.Reader = bytes.NewReader(a.content)
	if a.packed {
		var err error
		if content, err = gzip.NewReader(content); err != nil {
			return "", err
		}
	}
	sum := sha512.New384()
	if _, err := io.Copy(sum, content); err != nil {
		return "", err
	}
	return "sha384-" + base64.StdEncoding.EncodeToString(sum.Sum(nil)), nil
}

// Integrity returns what the integrity attribute of an element that loads the asset
// says: a browser runs nothing that was changed on the way.
func (p *Pages) Integrity(name string) (string, error) {
	a, ok := p.assets[name]
	if !ok {
		return "", fmt.Errorf("pages: no asset %q", name)
	}
	return a.integrity, nil
}

// Asset returns the path of an asset. It is for the templates, where a name that
// does not exist is an error.
func (p *Pages) Asset(name string) (string, error) {
	a, ok := p.assets[name]
	if !ok {
		return "", fmt.Errorf("pages: no asset %q", name)
	}
	return "/assets/" + a.hash + "/" + name, nil
}

// Assets answers [AssetsPattern].
func (p *Pages) Assets(w http.ResponseWriter, r *http.Request) {
	a, ok := p.assets[r.PathValue("file")]
	if !ok || a.hash != r.PathValue("hash") {
		exchange.FromContext(r.Context()).Fail(w, problem.New(problem.NotFound, "There is nothing at this path."))
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Content-Type", a.contentType)
	if !a.packed {
		_, _ = w.Write(a.content) // the client may be gone
		return
	}
	h.Add("Vary", "Accept-Encoding")
	if acceptsGzip(r.Header["Accept-Encoding"]) {
		h.Set("Content-Encoding", "gzip")
		_, _ = w.Write(a.content)
		return
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(a.content))
	if err != nil {
		exchange.FromContext(r.Context()).Fail(w, problem.Internal(err))
		return
	}
	_, _ = io.Copy(w, unpacked)
}

// acceptsGzip reports whether Accept-Encoding (RFC 9110 section 12.5.3) names gzip
// with a weight that is not zero.
func acceptsGzip(values []string) bool {
	for member := range strings.SplitSeq(strings.Join(values, ","), ",") {
		coding, params, err := mime.ParseMediaType(strings.TrimSpace(member))
		if err == nil && coding == "gzip" {
			return strings.Trim(params["q"], "0.") != "" || params["q"] == ""
		}
	}
	return false
}
