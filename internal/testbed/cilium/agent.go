//go:build linux

package cilium

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/remediate-dev/remediate/detect/cilium"
)

// startTime is how long an agent may take to be ready, compiling its programs, on a
// busy machine.
const startTime = 3 * time.Minute

// Refused is that the agent ended by itself before it was ready.
type Refused struct {
	Node string
	// Message and Cause are the msg and error of its first fatal line, or what the
	// command line said.
	Message, Cause string
	// Log is the end of its log.
	Log string
}

func (r *Refused) Error() string {
	return fmt.Sprintf("the agent of %s ended: %s: %s\n%s", r.Node, r.Message, r.Cause, r.Log)
}

// Restart starts the node's agent again, or for the first time, with a configuration
// and returns when it is ready and every pod's programs are those of it. The error is
// a [*Refused] when the agent does not start with it; the node is then without one.
func (n *Node) Restart(cfg cilium.Config) error { return n.restart(cfg) }

func (n *Node) restart(cfg cilium.Config) error {
	n.stopAgent()
	return n.start(cfg)
}

// Stop ends the node's agent. What it has loaded into the kernel goes on.
func (n *Node) Stop() { n.stopAgent() }

func (n *Node) stopAgent() {
	if n.monitor != nil {
		n.monitor.stop()
		n.monitor = nil
	}
	if n.agent != nil {
		n.agent.stop(graceTime)
		n.agent = nil
	}
}

func (n *Node) start(cfg cilium.Config) error {
	dir, err := n.writeConfig(cfg)
	if err != nil {
		return err
	}
	cmd := n.command(context.Background(), n.cluster.agent, "--config-dir="+dir)
	release, err := n.inGroup(cmd)
	if err != nil {
		return err
	}
	defer release()
	if n.agent, err = startJob(n.Space, cmd, filepath.Join(n.dir, fmt.Sprintf("agent-%d.log", n.starts))); err != nil {
		return err
	}
	if err := n.agent.until("it was ready", startTime, n.ready); err != nil {
		if n.agent.ended() {
			return n.refusal()
		}
		return err
	}
	if n.routers, err = n.RouterIPs(); err != nil {
		return err
	}
	for _, p := range n.cluster.podsOf(n) {
		// Nodes that allocate one for the same labels at the same time make several,
		// and settle for one at their next start.
		if err := n.agent.until("pod "+p.Name+" had an identity", podTime, p.programmed); err != nil {
			return err
		}
	}
	return n.agent.until("its monitor answered", startTime, n.openMonitor)
}

// writeConfig makes a folder with a file per key, as a mounted ConfigMap is.
func (n *Node) writeConfig(cfg cilium.Config) (dir string, err error) {
	n.starts++
	n.config = cfg
	n.config.Values = maps.Clone(cfg.Values)
	if n.config.Values == nil {
		n.config.Values = map[string]string{}
	}
	for _, p := range plumbing(n.cluster.kubeconfig) {
		p.lay(n.config.Values)
	}
	n.config.Version = n.cluster.Version
	dir = filepath.Join(n.dir, fmt.Sprintf("config-%d", n.starts))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	var errs []error
	for key, value := range n.config.Values {
		errs = append(errs, os.WriteFile(filepath.Join(dir, key), []byte(value), 0o644))
	}
	return dir, errors.Join(append(errs, n.writeMasqAgent(cfg.MasqAgent))...)
}

func (n *Node) writeMasqAgent(text *string) error {
	path := n.path(masqFile)
	if text == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	}
	return os.WriteFile(path, []byte(*text), 0o644)
}

var (
	fatalLine  = regexp.MustCompile(`(?m)^.*\blevel=fatal\b.*$`)
	quotedWord = `("(?:[^"\\]|\\.)*"|\S+)`
	fatalMsg   = regexp.MustCompile(`\bmsg=` + quotedWord)
	// otherEnd is that of the command line's parser or of a panic.
	otherEnd   = regexp.MustCompile(`(?m)^(Error|panic): .*$`)
	fatalError = regexp.MustCompile(`\berror=` + quotedWord)
)

// refusal reads why the agent ended.
func (n *Node) refusal() error {
	text, err := os.ReadFile(n.agent.log)
	if err != nil {
		return err
	}
	message, cause := lastWords(string(text))
	return &Refused{Node: n.Name, Message: message, Cause: cause, Log: n.agent.says()}
}

// lastWords are why an agent ended, by its log.
func lastWords(log string) (message, cause string) {
	if line := fatalLine.FindString(log); line != "" {
		return logValue(fatalMsg, line), logValue(fatalError, line)
	}
	return otherEnd.FindString(log), ""
}

// Log is what the node's agent has written since its last start.
func (n *Node) Log() (string, error) {
	if n.agent == nil {
		return "", fmt.Errorf("no agent runs on %s: start one with Restart", n.Name)
	}
	text, err := os.ReadFile(n.agent.log)
	return string(text), err
}
