package testbed

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// Server is a running API server with its etcd and nothing else: no controller,
// no scheduler, no kubelet, so that what was put into it stays as it is.
type Server struct {
	// Config is an administrator's. Tests take other users by impersonation.
	Config *rest.Config
	// Etcd is the address of the store, http://127.0.0.1:PORT.
	Etcd string

	dir       string
	processes []*process
}

// APIServer starts a [Server] and returns its administrator's access.
func APIServer(t testing.TB, flags ...string) *rest.Config {
	t.Helper()
	return Start(t, flags...).Config
}

// Start runs etcd and kube-apiserver on free ports of 127.0.0.1, with RBAC, and
// returns when the server is ready: two seconds on an idle machine. Flags are
// added to the API server's own. Both end with the test and leave nothing
// behind.
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	etcd, apiserver := Tool(t, "etcd"), Tool(t, "kube-apiserver")
	var err error
	for range attempts {
		var s *Server
		if s, err = start(t.TempDir(), etcd, apiserver, flags); err == nil {
			t.Cleanup(func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
			})
			return s
		}
	}
	t.Fatalf("start an API server: %v", err)
	return nil
}

// Stop ends both processes at once, as a power cut does. It may be called again.
func (s *Server) Stop() error {
	var errs []error
	for _, p := range s.processes {
		errs = append(errs, p.stop())
	}
	return errors.Join(errs...)
}

// Freeze halts the API server as an overloaded machine does: it takes
// connections and does not answer. [Server.Stop] ends it all the same.
func (s *Server) Freeze() error {
	return s.processes[1].freeze()
}

// attempts to start a server: a port that was free may be taken by the time that
// it is used.
const attempts = 3

// readyWithin is how long the server may take on a busy machine.
const readyWithin = 2 * time.Minute

func start(dir, etcdBinary, apiserverBinary string, flags []string) (*Server, error) {
	s := &Server{dir: dir}
	etcdURL, err := s.etcd(dir, etcdBinary)
	if s.Etcd = etcdURL; err == nil {
		err = s.apiserver(dir, apiserverBinary, etcdURL, flags)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) run(dir, binary string, args ...string) (*process, error) {
	p, err := startProcess(dir, binary, args...)
	if err == nil {
		s.processes = append(s.processes, p)
	}
	return p, err
}

func (s *Server) etcd(dir, binary string) (url string, err error) {
	ports, err := freePorts(2)
	if err != nil {
		return "", err
	}
	address := "127.0.0.1:" + strconv.Itoa(ports[0])
	url, peers := "http://"+address, "http://127.0.0.1:"+strconv.Itoa(ports[1])
	p, err := s.run(dir, binary,
		"--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn", "--quota-backend-bytes", "8589934592",
		"--listen-client-urls", url, "--advertise-client-urls", url,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", "default="+peers)
	if err != nil {
		return "", err
	}
	return url, p.until(func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return err
		}
		return c.Close()
	})
}

func (s *Server) apiserver(dir, binary, etcdURL string, flags []string) error {
	ports, err := freePorts(1)
	if err != nil {
		return err
	}
	token, err := writeCredentials(dir)
	if err != nil {
		return err
	}
	p, err := s.run(dir, binary, append(apiserverFlags(dir, etcdURL, ports[0]), flags...)...)
	if err != nil {
		return err
	}
	return p.until(func() (err error) {
		s.Config, err = readyConfig(dir, ports[0], token)
		return err
	})
}

const (
	tokenFile = "tokens.csv"
	keyFile   = "service-account.key"
)

// apiserverFlags: without a controller manager nobody makes the service account
// that the admission plugin ServiceAccount asks for, and nobody is to publish
// this server's address as an endpoint of the cluster under test.
func apiserverFlags(dir, etcdURL string, port int) []string {
	key := filepath.Join(dir, keyFile)
	return []string{
		"--etcd-servers=" + etcdURL,
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--cert-dir=" + filepath.Join(dir, "certs"),
		"--token-auth-file=" + filepath.Join(dir, tokenFile),
		"--authorization-mode=Node,RBAC",
		"--disable-admission-plugins=ServiceAccount",
		"--endpoint-reconciler-type=none",
		"--allow-privileged=true",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
	}
}

// writeCredentials makes the administrator's token and the key that signs those
// of service accounts.
func writeCredentials(dir string) (token string, err error) {
	raw := make([]byte, 16)
	rand.Read(raw)
	token = hex.EncodeToString(raw)
	line := token + `,admin,admin,"system:masters"` + "\n"
	if err := os.WriteFile(filepath.Join(dir, tokenFile), []byte(line), 0o600); err != nil {
		return "", err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return token, os.WriteFile(filepath.Join(dir, keyFile), block, 0o600)
}

// readyConfig is the administrator's access once the server says that it is
// ready. The server makes its certificate, and the authority in the same file,
// when it starts.
func readyConfig(dir string, port int, token string) (*rest.Config, error) {
	ca, err := os.ReadFile(filepath.Join(dir, "certs", "apiserver.crt"))
	if err != nil {
		return nil, err
	}
	cfg := &rest.Config{
		Host:            "https://127.0.0.1:" + strconv.Itoa(port),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, cfg.Host+"/readyz", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("not ready: %s", resp.Status)
	}
	return cfg, nil
}

// until asks again and again; it ends early when the process does.
func (p *process) until(ready func() error) error {
	deadline := time.Now().Add(readyWithin)
	for {
		err := ready()
		switch {
		case err == nil:
			return nil
		case p.ended():
			return fmt.Errorf("%s ended before it was ready\n%s", p.name, p.says())
		case time.Now().After(deadline):
			return fmt.Errorf("%s was not ready after %s: %w\n%s", p.name, readyWithin, err, p.says())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// freePorts of 127.0.0.1, each another: all are taken before any is given back.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, listenErr := net.Listen("tcp", "127.0.0.1:0")
		if listenErr != nil {
			return nil, listenErr
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
