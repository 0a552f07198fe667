package testbed

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// GitSSH is the SSH side of a [Git], with a host key and one user key. It runs
// the real git-upload-pack and git-receive-pack.
type GitSSH struct {
	// Host is 127.0.0.1:PORT.
	Host string
	// Identity is the private key of the one who is let in, in PEM.
	Identity []byte
	// KnownHosts is the line for the server.
	KnownHosts []byte

	git      *Git
	key      ssh.Signer
	user     ssh.PublicKey
	readOnly atomic.Bool
	blank    atomic.Bool
	stall    atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// SSH starts the server's SSH side.
func (g *Git) SSH(t testing.TB) *GitSSH {
	t.Helper()
	s := &GitSSH{git: g, conns: map[net.Conn]bool{}}
	var err error
	if s.key, _, err = newKey(); err != nil {
		t.Fatal(err)
	}
	var user ssh.Signer
	if user, s.Identity, err = newKey(); err != nil {
		t.Fatal(err)
	}
	s.user = user.PublicKey()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Host = listener.Addr().String()
	s.KnownHosts = []byte(knownhosts.Line([]string{s.Host}, s.key.PublicKey()) + "\n")
	var running sync.WaitGroup
	running.Go(func() { s.accept(listener, &running) })
	t.Cleanup(func() {
		_ = listener.Close()
		s.closeAll()
		running.Wait()
	})
	return s
}

// CloneURL is the ssh address of a repository.
func (s *GitSSH) CloneURL(name string) string { return "ssh://git@" + s.Host + "/" + name + ".git" }

// Secret is that of a GitRepository with this server's URL.
func (s *GitSSH) Secret() map[string][]byte {
	return map[string][]byte{"identity": s.Identity, "known_hosts": s.KnownHosts}
}

// ReadOnly makes the key a deploy key that may not write.
func (s *GitSSH) ReadOnly() { s.readOnly.Store(true) }

// BlankLine has refusals begin with an empty line where Git's answer would be, as
// those of Gitea and Forgejo do.
func (s *GitSSH) BlankLine() { s.blank.Store(true) }

// Stall takes connections from now on and says nothing.
func (s *GitSSH) Stall() { s.stall.Store(true) }

func newKey() (ssh.Signer, []byte, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	return signer, pem.EncodeToMemory(block), err
}

func (s *GitSSH) accept(listener net.Listener, running *sync.WaitGroup) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		running.Go(func() {
			defer s.drop(conn)
			if s.stall.Load() {
				_, _ = io.Copy(io.Discard, conn)
				return
			}
			s.serve(conn)
		})
	}
}

func (s *GitSSH) drop(conn net.Conn) {
	_ = conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *GitSSH) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

func (s *GitSSH) serve(conn net.Conn) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if string(key.Marshal()) != string(s.user.Marshal()) {
			return nil, errors.New("unknown key")
		}
		return nil, nil
	}}
	config.AddHostKey(s.key)
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" {
			_ = c.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, asked, err := c.Accept()
		if err != nil {
			return
		}
		s.session(channel, asked)
	}
}

// session runs the one command of a session.
func (s *GitSSH) session(channel ssh.Channel, asked <-chan *ssh.Request) {
	defer func() { _ = channel.Close() }()
	for r := range asked {
		if r.Type != "exec" {
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		_ = r.Reply(true, nil)
		var exec struct{ Command string }
		code := 1
		if err := ssh.Unmarshal(r.Payload, &exec); err == nil {
			code = s.exec(channel, exec.Command)
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{uint32(code)}))
		return
	}
}

// exec runs git-upload-pack or git-receive-pack with the path that was asked for.
func (s *GitSSH) exec(channel ssh.Channel, command string) int {
	verb, arg, _ := strings.Cut(command, " ")
	name := strings.Trim(arg, "'/")
	if verb != "git-upload-pack" && verb != "git-receive-pack" || strings.Contains(name, "..") {
		_, _ = fmt.Fprintln(channel.Stderr(), "ERROR: not a command of this server")
		return 1
	}
	if verb == "git-receive-pack" && s.readOnly.Load() {
		if s.blank.Load() {
			_, _ = fmt.Fprintln(channel)
		}
		_, _ = fmt.Fprintln(channel.Stderr(), "ERROR: The key you are authenticating with has been marked as read only.")
		return 1
	}
	return s.pipe(channel, s.git.command(s.git.Root, strings.TrimPrefix(verb, "git-"), filepath.Join(s.git.Root, name)))
}

func (s *GitSSH) pipe(channel ssh.Channel, cmd *exec.Cmd) int {
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	if err := cmd.Start(); err != nil {
		return 1
	}
	// The client may keep its side open until it has heard the exit status.
	go func() {
		_, _ = io.Copy(stdin, channel)
		_ = stdin.Close()
	}()
	if err := cmd.Wait(); err != nil {
		return 1
	}
	return 0
}
