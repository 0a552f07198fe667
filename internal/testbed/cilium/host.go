//go:build linux

package cilium

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// Host is an end of flows: a pod, a node or a host outside.
type Host struct {
	Name  string
	Space *lab.Space
	// Addrs are its own addresses.
	Addrs []netip.Addr

	cluster *Cluster
	group   string // its cgroup; empty for the test's

	mu   sync.Mutex
	peer *peer
}

// Start starts a process in the host's network and, for pods and nodes, in the node's
// cgroup, so that the socket load balancer serves it. It is killed with the cluster.
func (h *Host) Start(cmd *exec.Cmd) error {
	release, err := h.inGroup(cmd)
	if err != nil {
		return err
	}
	defer release()
	return h.Space.Start(cmd)
}

// peer is the process that sends and answers for a host.
type peer struct {
	job *job
	in  io.WriteCloser

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
}

// talk is the host's peer, which is started when it is needed first.
func (h *Host) talk(ctx context.Context) (*peer, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peer != nil && !h.peer.job.ended() {
		return h.peer, nil
	}
	var list []string
	for _, a := range h.Addrs {
		list = append(list, a.String())
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), peerMark+"="+strings.Join(list, ","))
	p, err := h.startPeer(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("the peer of %s: %w", h.Name, err)
	}
	h.peer = p
	return p, nil
}

func (h *Host) startPeer(ctx context.Context, cmd *exec.Cmd) (*peer, error) {
	release, err := h.inGroup(cmd)
	if err != nil {
		return nil, err
	}
	defer release()
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	// The command waits for what copies its output, not for its reader.
	read, write := io.Pipe()
	cmd.Stdout = write
	p := &peer{in: in, waiting: map[int]chan answer{}}
	// The first word has number 0.
	started := p.expect(0)
	log := strings.ReplaceAll(h.Space.Name, "/", "-") + ".peer.log"
	if p.job, err = startJob(h.Space, cmd, filepath.Join(h.cluster.dir, log)); err != nil {
		return nil, err
	}
	go p.listen(read)
	go func() {
		<-p.job.done
		_ = write.Close()
	}()
	a, err := p.await(ctx, started)
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		p.job.stop(0)
		return nil, err
	}
	return p, nil
}

func (p *peer) listen(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var a answer
		if json.Unmarshal(line, &a) != nil {
			continue
		}
		p.mu.Lock()
		to := p.waiting[a.ID]
		delete(p.waiting, a.ID)
		p.mu.Unlock()
		if to != nil {
			to <- a
		}
	}
}

func (p *peer) expect(id int) chan answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := make(chan answer, 1)
	p.waiting[id] = c
	return c
}

// peerTime is how long a peer may take to answer, the exchange's own time included.
const peerTime = 40 * time.Second

func (p *peer) await(ctx context.Context, from chan answer) (answer, error) {
	select {
	case a := <-from:
		return a, nil
	case <-p.job.done:
		return answer{}, errors.New("it has ended: " + p.job.says())
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-time.After(peerTime):
		return answer{}, fmt.Errorf("no answer within %s", peerTime)
	}
}

// ask puts a question to the host's peer.
func (h *Host) ask(ctx context.Context, q question) (answer, error) {
	p, err := h.talk(ctx)
	if err != nil {
		return answer{}, err
	}
	p.mu.Lock()
	p.next++
	q.ID = p.next
	p.mu.Unlock()
	from := p.expect(q.ID)
	text, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return answer{}, fmt.Errorf("the peer of %s: %w: %s", h.Name, err, p.job.says())
	}
	return p.await(ctx, from)
}

// hangUp ends the host's peer.
func (h *Host) hangUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.peer != nil {
		h.peer.job.stop(0)
		h.peer = nil
	}
}
