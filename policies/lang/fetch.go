package lang

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// sourceSchemes are the schemes from which Nomad fetches a file, as they are written.
func sourceSchemes() []string { return []string{"https", "http", "s3::https", "gcs::https"} }

// Fetchable is a Checker of sources that Nomad can fetch.
func Fetchable(v cty.Value) error {
	_, err := FetchedFile(v.AsString())
	return err
}

// FetchedFile is the name of the file at a source, the last part of its path. The source
// is one that Nomad can fetch without secrets: who may read a patch may read it too.
func FetchedFile(source string) (string, error) {
	example := "want a URL such as \"https://mirror.example/openssl_3.0.16-1_amd64.deb\""
	scheme, rest, ok := strings.Cut(source, "://")
	if !ok || scheme == "" {
		return "", errors.New(example)
	}
	if !slices.Contains(sourceSchemes(), scheme) {
		return "", fmt.Errorf("nomad can't fetch from %q; want a source that begins with %s", scheme+"://", List(sourceSchemes(), "or"))
	}
	u, err := url.Parse("https://" + rest)
	if err != nil || u.Host == "" || strings.ContainsAny(source, " \t\r\n$") {
		return "", errors.New(example)
	}
	if u.User != nil {
		return "", errors.New("it holds a user or a password; a source is readable by whoever may read the patch")
	}
	for key := range u.Query() {
		switch lower := strings.ToLower(key); {
		case strings.HasPrefix(lower, "aws_") || strings.HasPrefix(lower, "x-amz-") || lower == "sshkey" || strings.Contains(lower, "token") || strings.Contains(lower, "signature"):
			return "", fmt.Errorf("its parameter %q is a secret; a source is readable by whoever may read the patch", key)
		case lower == "checksum" || lower == "archive" || lower == "filename":
			return "", fmt.Errorf("its parameter %q changes what is fetched; the file is kept as it is, under the name in the URL, and is checked by checksum", key)
		}
	}
	name := path.Base(u.Path)
	if name == "." || name == "/" || name == ".." || strings.HasSuffix(u.Path, "/") {
		return "", errors.New("it names no file; " + example)
	}
	if strings.Contains(name, ",") {
		return "", fmt.Errorf("its file %q has a comma, after which QEMU reads options of the disk", name)
	}
	return name, nil
}

// Checksum is a Checker of SHA-256 checksums.
func Checksum(v cty.Value) error {
	digits, ok := strings.CutPrefix(v.AsString(), "sha256:")
	if !ok || len(digits) != 64 || strings.Trim(digits, "0123456789abcdef") != "" {
		return errors.New("want \"sha256:\" and 64 lower case hex digits, as sha256sum prints them")
	}
	return nil
}
