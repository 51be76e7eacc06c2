package api

import "strings"

// sha256Digits is how many hexadecimal digits a SHA-256 has.
const sha256Digits = 64

// IsSHA256 reports whether a text is a SHA-256 as sha256sum writes it, in lower case.
func IsSHA256(text string) bool {
	return len(text) == sha256Digits && strings.Trim(text, "0123456789abcdef") == ""
}

// IsDigest reports whether a text is the digest of an image or an artifact: "sha256:" and a
// SHA-256.
func IsDigest(text string) bool {
	sum, ok := strings.CutPrefix(text, "sha256:")
	return ok && IsSHA256(sum)
}
