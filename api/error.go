package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrorCode is the closed set of error codes that cross Raft, HTTP and the CLI.
type ErrorCode string

// The error codes. Callers branch on these and never on message text.
const (
	CodeInvalid          ErrorCode = "invalid"
	CodeNotFound         ErrorCode = "not_found"
	CodeConflict         ErrorCode = "conflict"
	CodeStaleIndex       ErrorCode = "stale_index"
	CodePermissionDenied ErrorCode = "permission_denied"
	CodeUnauthenticated  ErrorCode = "unauthenticated"
	CodeNoLeader         ErrorCode = "no_leader"
	CodeUnavailable      ErrorCode = "unavailable"
	CodeTimeout          ErrorCode = "timeout"
	CodeBusy             ErrorCode = "busy" // the caller asks for more at the same time than one may
	CodeInternal         ErrorCode = "internal"
)

// Error is what every failing call of the API returns. Details are further
// lines for a person: diagnostics with file, line and column, field paths, or
// the reasons of a refusal.
type Error struct {
	Code    ErrorCode `json:"code"`
	Message string    `json:"message"`
	Details []string  `json:"details,omitempty"`
}

// Error returns the message followed by the details, one to a line.
func (e *Error) Error() string {
	return strings.Join(append([]string{e.Message}, e.Details...), "\n  ")
}

// Errorf builds an Error with a formatted message.
func Errorf(code ErrorCode, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// AsError returns err as an *Error, wrapping an unknown one as internal.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*Error](err); ok {
		return known
	}
	return &Error{Code: CodeInternal, Message: err.Error()}
}

// IsCode reports whether err carries code.
func IsCode(err error, code ErrorCode) bool {
	known, ok := errors.AsType[*Error](err)
	return ok && known.Code == code
}

// HTTPStatus is the status line that carries the code over HTTP.
func (c ErrorCode) HTTPStatus() int {
	switch c {
	case CodeInvalid:
		return http.StatusBadRequest
	case CodeNotFound:
		return http.StatusNotFound
	case CodeConflict, CodeStaleIndex:
		return http.StatusConflict
	case CodePermissionDenied:
		return http.StatusForbidden
	case CodeUnauthenticated:
		return http.StatusUnauthorized
	case CodeNoLeader, CodeUnavailable:
		return http.StatusServiceUnavailable
	case CodeBusy:
		return http.StatusTooManyRequests
	case CodeTimeout:
		return http.StatusGatewayTimeout
	case CodeInternal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}
