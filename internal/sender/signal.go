package sender

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// StartSignal returns a channel that is closed at the first SIGHUP, or is closed
// already.
func StartSignal(now bool) (start <-chan struct{}, stop func()) {
	started := make(chan struct{})
	begin := sync.OnceFunc(func() { close(started) })
	if now {
		begin()
	}
	signals := make(chan os.Signal, 1)
	ended := make(chan struct{})
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		for {
			select {
			case <-signals:
				begin()
			case <-ended:
				return
			}
		}
	}()
	return started, func() { signal.Stop(signals); close(ended) }
}
