// Command drawing renders the DOT files that it is given as SVG files beside them.
// Each SVG begins with the digest of its source, so that a test finds one that is
// out of date.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-graphviz"
)

func main() {
	for _, path := range os.Args[1:] {
		if err := draw(context.Background(), path); err != nil {
			fmt.Fprintf(os.Stderr, "draw %s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

func draw(ctx context.Context, path string) error {
	source, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	renderer, err := graphviz.New(ctx)
	if err != nil {
		return err
	}
	defer renderer.Close()
	graph, err := graphviz.ParseBytes(source)
	if err != nil {
		return err
	}
	defer graph.Close()
	var svg bytes.Buffer
	if err := renderer.Render(ctx, graph, graphviz.SVG, &svg); err != nil {
		return err
	}
	stamp := fmt.Sprintf("<!-- source sha256:%x -->\n", sha256.Sum256(source))
	return os.WriteFile(strings.TrimSuffix(path, ".dot")+".svg", append([]byte(stamp), withoutProlog(svg.Bytes())...), 0o644)
}

// withoutProlog drops the XML declaration, which must be a file's first line, and
// the document type.
func withoutProlog(svg []byte) []byte { return svg[bytes.Index(svg, []byte("<svg")):] }
