package collect_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// wire is what lies between the collector and the API server.
type wire struct {
	to       string
	listener net.Listener

	mu    sync.Mutex
	state string // "", "cut" or "hung"
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

// newWire gives an access to the API server that the test can cut.
func newWire(t *testing.T, cfg *rest.Config) (*wire, *rest.Config) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: strings.TrimPrefix(cfg.Host, "https://"), listener: l, conns: map[net.Conn]bool{}}
	w.wg.Go(w.serve)
	t.Cleanup(func() {
		l.Close()
		w.set("cut")
		w.wg.Wait()
	})
	through := rest.CopyConfig(cfg)
	through.Host = "https://" + l.Addr().String()
	return w, through
}

// set changes the state: every connection ends with it, but that one that hangs
// says nothing more and stays.
func (w *wire) set(state string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.state = state
	if state == "hung" {
		return
	}
	for c := range w.conns {
		c.Close()
		delete(w.conns, c)
	}
}

func (w *wire) is() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.state
}

func (w *wire) serve() {
	for {
		in, err := w.listener.Accept()
		if err != nil {
			return
		}
		if w.is() == "cut" {
			in.Close()
			continue
		}
		out, err := net.Dial("tcp", w.to)
		if err != nil {
			in.Close()
			continue
		}
		w.mu.Lock()
		w.conns[in], w.conns[out] = true, true
		w.mu.Unlock()
		w.wg.Go(func() { w.copy(in, out) })
		w.wg.Go(func() { w.copy(out, in) })
	}
}

// copy passes bytes on; while the wire hangs it throws them away, and what was
// underway then is broken for good.
func (w *wire) copy(to, from net.Conn) {
	defer to.Close()
	buffer, broken := make([]byte, 16<<10), false
	for {
		n, err := from.Read(buffer)
		broken = broken || w.is() == "hung"
		if n > 0 && !broken {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
