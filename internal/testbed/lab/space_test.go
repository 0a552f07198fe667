//go:build linux

package lab

import (
	"errors"
	"net"
	"sync"
	"testing"
)

// Who dials in the background may do so while its lab is taken down, and after.
func TestEnterWhileItCloses(t *testing.T) {
	s, err := newSpace("closing", nil)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if err := s.Do(func() error { return nil }); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
	s.close()
	all.Wait()
	if err := s.Do(func() error { return nil }); !errors.Is(err, net.ErrClosed) {
		t.Errorf("entered a closed namespace: %v", err)
	}
}
