//go:build linux

package story

import (
	"io"
	"net"
	"sync"
)

// relay passes connections on to another address, and can be cut.
type relay struct {
	to       string
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	cut   bool
	conns map[net.Conn]bool
}

func newRelay(l net.Listener, to string) *relay {
	r := &relay{to: to, listener: l, conns: map[net.Conn]bool{}}
	r.wg.Go(r.accept)
	return r
}

func (r *relay) accept() {
	for {
		in, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.pass(in) })
	}
}

func (r *relay) pass(in net.Conn) {
	defer func() { _ = in.Close() }()
	if !r.keep(in) {
		return
	}
	defer r.forget(in)
	out, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	if !r.keep(out) {
		return
	}
	defer r.forget(out)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, in) // an end is an end
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
	_ = in.Close()
	<-done
}

func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.cut {
		r.conns[c] = true
	}
	return !r.cut
}

func (r *relay) forget(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// setCut ends all connections and refuses new ones, or lets them in again.
func (r *relay) setCut(cut bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cut = cut
	if !cut {
		return
	}
	for c := range r.conns {
		_ = c.Close()
	}
}

func (r *relay) close() {
	_ = r.listener.Close()
	r.setCut(true)
	r.wg.Wait()
}
