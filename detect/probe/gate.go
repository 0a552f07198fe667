package probe

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// gate is a listener that keeps the number of open connections bounded. One more
// pushes out the oldest that has not yet proved to know the key, so that who holds
// connections open cannot shut out the probes.
type gate struct {
	net.Listener
	max int
	// busy is what a connection is told that is pushed out.
	busy []byte

	mu      sync.Mutex
	strange *list.List // of *gateConn, the oldest first
	known   map[*gateConn]bool
}

// gateConn is a connection that the gate counts.
type gateConn struct {
	net.Conn
	gate *gate
	elem *list.Element
	once sync.Once
	err  error
}

func newGate(l net.Listener, limit int, busy []byte) *gate {
	return &gate{Listener: l, max: limit, busy: busy, strange: list.New(), known: map[*gateConn]bool{}}
}

// Accept waits for the next connection and makes room for it.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &gateConn{Conn: conn, gate: g}
		victim := g.admit(c)
		if victim != nil {
			victim.turnAway(g.busy)
		}
		if victim != c {
			return c, nil
		}
	}
}

// admit counts c and names the connection that must go for it; c itself where all
// others are known.
func (g *gate) admit(c *gateConn) *gateConn {
	g.mu.Lock()
	defer g.mu.Unlock()
	full := g.strange.Len()+len(g.known) >= g.max
	if full && g.strange.Len() == 0 {
		return c
	}
	c.elem = g.strange.PushBack(c)
	if !full {
		return nil
	}
	oldest, _ := g.strange.Front().Value.(*gateConn)
	g.drop(oldest)
	return oldest
}

func (g *gate) drop(c *gateConn) {
	if c.elem != nil {
		g.strange.Remove(c.elem)
		c.elem = nil
	}
	delete(g.known, c)
}

// open is the number of connections.
func (g *gate) open() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.strange.Len() + len(g.known)
}

// closeAll ends every connection.
func (g *gate) closeAll() {
	g.mu.Lock()
	var all []*gateConn
	for e := g.strange.Front(); e != nil; e = e.Next() {
		if c, ok := e.Value.(*gateConn); ok {
			all = append(all, c)
		}
	}
	for c := range g.known {
		all = append(all, c)
	}
	g.mu.Unlock()
	for _, c := range all {
		end(c)
	}
}

// trusted spares the connection from being pushed out.
func (c *gateConn) trusted() {
	c.gate.mu.Lock()
	defer c.gate.mu.Unlock()
	if c.elem == nil {
		return
	}
	c.gate.drop(c)
	c.gate.known[c] = true
}

// turnAway says why and closes. What is to be said fits in an empty send buffer.
func (c *gateConn) turnAway(why []byte) {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
	_, _ = c.Conn.Write(why)
	end(c)
}

// Close ends the connection and stops counting it.
func (c *gateConn) Close() error {
	c.once.Do(func() {
		c.gate.mu.Lock()
		c.gate.drop(c)
		c.gate.mu.Unlock()
		c.err = c.Conn.Close()
	})
	return c.err
}
