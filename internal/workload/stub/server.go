package stub

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/workload"
)

const (
	// headersWithin is how long a caller may take to send a request's headers.
	headersWithin = 30 * time.Second
	// drainMax is how long requests under way may take once a server ends.
	drainMax = time.Second
)

// File returns what keeps a report in a file, or nowhere when the path is empty. The file
// is replaced as a whole. It is not synced: it is read while the node runs, and each call
// that no answer fits waits for it.
func File(path string) func([]byte) error {
	return func(text []byte) error {
		if path == "" {
			return nil
		}
		part := path + ".part"
		if err := os.WriteFile(part, text, 0o644); err != nil {
			return err
		}
		return os.Rename(part, path)
	}
}

// Service is what a stub answers for.
type Service struct {
	Name    string
	Address string // a loopback one with a port, such as 127.0.0.1:9091; port 0 takes any
	Answers workload.Answers
}

// Server is a stub that listens.
type Server struct {
	Name     string
	listener net.Listener
	server   *http.Server
}

// Listen makes a stub of each service listen, or none. It refuses addresses that others
// than the twin could reach.
func Listen(ctx context.Context, services []Service, report *Report) ([]*Server, error) {
	var servers []*Server
	for _, service := range services {
		s, err := listen(ctx, service, report)
		if err != nil {
			for _, s := range servers {
				_ = s.listener.Close() // nobody is answered yet
			}
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func listen(ctx context.Context, service Service, report *Report) (*Server, error) {
	host, _, err := net.SplitHostPort(service.Address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return nil, api.Errorf(api.CodeInvalid, "listen for %s: %q: want a loopback address with a port, such as 127.0.0.1:9091", service.Name, service.Address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", service.Address)
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "listen for %s: %v", service.Name, err)
	}
	handler := New(service.Name, service.Answers, report)
	return &Server{Name: service.Name, listener: listener, server: &http.Server{Handler: handler, ReadHeaderTimeout: headersWithin}}, nil
}

// Addr is where the stub listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Serve answers until ctx ends. It returns the first error of a server or of the report.
func Serve(ctx context.Context, servers []*Server, report *Report) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, s := range servers {
		group.Go(func() error {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", s.Name, err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			rest, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainMax)
			defer cancel()
			if err := s.server.Shutdown(rest); err != nil {
				_ = s.server.Close() // whoever is still answered is cut off
			}
			return nil
		})
	}
	return errors.Join(group.Wait(), report.Err())
}
