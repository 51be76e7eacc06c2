package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static templates
var embedded embed.FS

// asset is one file of the page.
type asset struct {
	kind   string // content type
	digest string
	plain  []byte
	packed func() []byte // gzip, made when somebody asks first
}

// assets are the files by their name below static.
type assets map[string]asset

func readAssets() (assets, error) {
	out := assets{}
	root, err := fs.Sub(embedded, "static")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		out[name] = asset{kind: kindOf(name), digest: digest(text), plain: text, packed: sync.OnceValue(func() []byte { return pack(text) })}
		return nil
	})
	return out, err
}

// digest tells texts apart, also where somebody tries to make two that are alike.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

// kindOf is a file's content type. What the machine thinks of the ending does not count.
func kindOf(name string) string {
	switch ext := path.Ext(name); ext {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	default:
		return mime.TypeByExtension(ext)
	}
}

func pack(text []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed) // the level is one that there is
	_, _ = w.Write(text)                              // memory takes everything
	_ = w.Close()
	return out.Bytes()
}

// takesGzip reports whether the browser unpacks what is packed.
func takesGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// url is where a file is. It changes with the file, so that browsers may keep the file.
func (a assets) url(name string) (string, error) {
	file, ok := a[name]
	if !ok {
		return "", fmt.Errorf("there is no file %s", name)
	}
	return "/ui/static/" + name + "?v=" + file.digest, nil
}

// ServeHTTP answers with one file.
func (a assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a[r.PathValue("file")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.kind)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == file.digest {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Vary", "Accept-Encoding")
	tag := `"` + file.digest + `"`
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	text := file.plain
	if takesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		text = file.packed()
	}
	_, _ = w.Write(text) // the browser has gone; there is nobody to report the error to
}
