package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"
)

// needLoopback refuses a machine whose processes can't reach each other: whoever
// asks would wait, and nobody would know what for.
func needLoopback() error {
	all, err := net.Interfaces()
	if err != nil {
		return fmt.Errorf("look for the loopback interface: %w", err)
	}
	if !loopbackUp(all) {
		return errors.New("the loopback interface is down, over which everything here talks: bring it up (ip link set lo up)")
	}
	return nil
}

func loopbackUp(all []net.Interface) bool {
	const want = net.FlagLoopback | net.FlagUp
	return slices.ContainsFunc(all, func(i net.Interface) bool { return i.Flags&want == want })
}

// errOrphaned is why a story ends whose make was killed.
var errOrphaned = errors.New("make has ended, which ran this demo")

// watchParent breaks the story off when make, which started it, was killed and so
// could not pass a signal on. Without make nobody need outlive the demo.
func watchParent(ctx context.Context, parent func() int, broken context.CancelCauseFunc) {
	if os.Getenv("MAKELEVEL") == "" {
		return
	}
	first := parent()
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if parent() != first {
			broken(errOrphaned)
			return
		}
	}
}
