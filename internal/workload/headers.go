package workload

import (
	"fmt"
	"net/textproto"
	"slices"
	"strings"
)

// redacted stands where a credential stood.
const redacted = "redacted"

// framing reports whether a header belongs to a connection or to the length of a body.
// Whoever sends a request decides about them anew.
func framing(name string) bool {
	return strings.HasPrefix(name, "Proxy-") || slices.Contains([]string{
		"Connection", "Content-Length", "Expect", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}, name)
}

// asksFor reports whether a header says what is asked for, and not who asks. Only such
// headers are recorded: nobody has a list of all that are credentials.
func asksFor(name string) bool {
	return slices.Contains([]string{
		"Accept", "Accept-Encoding", "Accept-Language", "Content-Encoding", "Content-Language", "Content-Type",
		"Host", "Prefer", "Soapaction", "X-Http-Method-Override", "X-Requested-With",
	}, name)
}

// secret reports whether a header, a query parameter or a field of a body has the name
// of a credential.
func secret(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{
		"apikey", "api-key", "api_key", "auth", "cookie", "credential", "csrf", "jwt", "passw", "secret", "session", "signature", "token", "xsrf",
	} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return slices.Contains([]string{"key", "otp", "pass", "pin", "pwd", "sid", "sig"}, name)
}

// checkHeaders takes headers as a person may write them, by their canonical names.
func checkHeaders(headers map[string]string) error {
	size := 0
	for _, name := range sorted(headers) {
		value := headers[name]
		size += len(name) + len(value)
		switch {
		case !headerName(name):
			return fmt.Errorf("%.80q is no name of a header", name)
		case framing(name):
			return fmt.Errorf("%s belongs to the connection, and whoever sends the request decides about it", name)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			return fmt.Errorf("%s has a control character", name)
		}
	}
	if size > HeadersMax {
		return fmt.Errorf("%d bytes are more than %d", size, HeadersMax)
	}
	return nil
}

// headerName reports whether a name is a token of RFC 9110 in its canonical form.
func headerName(name string) bool {
	const token = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	return name != "" && strings.Trim(name, token) == "" && textproto.CanonicalMIMEHeaderKey(name) == name
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
