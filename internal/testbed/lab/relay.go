//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// relay carries frames between a node's port and the bridge, and lets each wait:
// the kernel's own queue for that (netem) is not everywhere.
type relay struct {
	ends [2]*os.File
	done chan struct{}
	wg   sync.WaitGroup
	once sync.Once
}

// relayQueue is how many frames wait at most in one direction; what comes on top is lost.
const relayQueue = 8192

// maxFrame holds a frame of any size that a device hands over, header included.
const maxFrame = 70 << 10

// Delay makes every frame from and to the node wait, each way.
func (n *Node) Delay(each time.Duration) (undo func()) {
	n.lab.t.Helper()
	undo, err := n.delay(each)
	n.lab.must(err)
	return undo
}

func (n *Node) delay(each time.Duration) (func(), error) {
	l := n.lab
	near, far := l.nextName("relay"), n.port()+"r"
	if err := l.wire.veth(near, l.wire, far, l.spec.MTU); err != nil {
		return nil, err
	}
	if err := l.wire.set(n.port(), l.wire.link.LinkSetNoMaster); err != nil {
		return nil, err
	}
	for _, device := range []string{near, far} {
		if err := l.wire.up(device); err != nil {
			return nil, err
		}
	}
	if err := l.enslave(far, n.Segment); err != nil {
		return nil, err
	}
	r, err := l.startRelay(n.port(), near, each)
	if err != nil {
		return nil, err
	}
	return l.undo(func() error {
		r.stop()
		if err := l.wire.set(near, l.wire.link.LinkDel); err != nil {
			return err
		}
		return l.enslave(n.port(), n.Segment)
	}), nil
}

func (l *Lab) startRelay(a, b string, each time.Duration) (*relay, error) {
	r := &relay{done: make(chan struct{})}
	for i, device := range []string{a, b} {
		f, err := l.wire.frames(device)
		if err != nil {
			r.stop()
			return nil, err
		}
		r.ends[i] = f
	}
	r.carry(r.ends[0], r.ends[1], each)
	r.carry(r.ends[1], r.ends[0], each)
	l.mu.Lock()
	l.relays = append(l.relays, r)
	l.mu.Unlock()
	return r, nil
}

// frames opens a device for whole frames, each behind a header that says which
// checksums are still to be made (struct virtio_net_hdr).
func (s *Space) frames(device string) (f *os.File, err error) {
	index, err := s.index(device)
	if err != nil {
		return nil, err
	}
	err = s.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), device)
		err = errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: index}),
		)
		if err != nil {
			f.Close()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("failed to open the frames of %s: %w", device, err)
	}
	return f, nil
}

func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }

type waiting struct {
	until time.Time
	frame []byte
}

// carry moves frames from one end to the other, in order.
func (r *relay) carry(from, to *os.File, each time.Duration) {
	queue := make(chan waiting, relayQueue)
	r.wg.Go(func() {
		defer close(queue)
		buf := make([]byte, maxFrame)
		for {
			n, err := from.Read(buf)
			if errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				continue // the device is down
			}
			select {
			case queue <- waiting{time.Now().Add(each), append([]byte(nil), buf[:n]...)}:
			default:
			}
		}
	})
	r.wg.Go(func() {
		for w := range queue {
			select {
			case <-time.After(time.Until(w.until)):
				_, _ = to.Write(w.frame) // a frame that a device refuses is lost
			case <-r.done:
			}
		}
	})
}

func (r *relay) stop() {
	r.once.Do(func() {
		close(r.done)
		for _, f := range r.ends {
			if f != nil {
				f.Close()
			}
		}
		r.wg.Wait()
	})
}
