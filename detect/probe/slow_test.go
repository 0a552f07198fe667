package probe

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever sends slowly, or nothing, is rid of soon.
func TestReflectorIsNotHeldUp(t *testing.T) {
	key := testKey(1)
	whole := encoded(t, testRequest(overTCP), key)
	tests := []struct {
		name string
		send func(net.Conn)
		// most is how long the connection may last.
		most time.Duration
	}{
		{"says nothing", func(net.Conn) {}, messageTime},
		{"a byte a second", func(conn net.Conn) {
			for _, b := range whole {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, messageTime},
		{"half a message", func(conn net.Conn) { _, _ = conn.Write(whole[:100]) }, messageTime},
		{"a message a second", func(conn net.Conn) {
			for {
				if _, err := conn.Write(whole); err != nil {
					return
				}
				if _, err := readAnswer(conn, overTCP, [][]byte{key}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, connTime},
		{"does not read", func(conn net.Conn) { _, _ = conn.Write(whole) }, messageTime},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &Reflector{Identity: reflectorSelf, Keys: testRing(t, key)}
				near, far := net.Pipe()
				start := time.Now()
				done := make(chan time.Duration)
				go func() { r.converse(near); done <- time.Since(start) }()
				sent := make(chan struct{})
				go func() { tt.send(far); close(sent) }()
				if took := <-done; took > tt.most {
					t.Errorf("the connection lasted %v", took)
				}
				far.Close()
				<-sent
			})
		})
	}
}

// A prober that has the wrong key is told so, and what it says next is not heard.
func TestReflectorRefusesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Reflector{Identity: reflectorSelf, Keys: testRing(t, testKey(1))}
		near, far := net.Pipe()
		go r.converse(near)
		go func() { _, _ = far.Write(bytes.Repeat(encoded(t, testRequest(overTCP), testKey(2)), 2)) }()
		if _, err := readAnswer(far, overTCP, nil); !errors.Is(err, errKey) {
			t.Errorf("got %v", err)
		}
		if rest, err := io.ReadAll(far); len(rest) > 0 || err != nil {
			t.Errorf("then %q, %v", rest, err)
		}
	})
}
