//go:build linux

package cilium

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/remediate-dev/remediate/internal/testbed/lab"
)

// job is a process that runs beside the test, with its output in a file.
type job struct {
	name, log string
	cmd       *exec.Cmd
	space     *lab.Space
	done      chan struct{} // closed when the process has ended
}

// startJob starts a process in a network namespace. Standard output goes to the log
// too, unless the command has one already.
func startJob(space *lab.Space, cmd *exec.Cmd, log string) (*job, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if cmd.Stdout == nil {
		cmd.Stdout = out
	}
	cmd.Stderr = out
	if err := space.Start(cmd); err != nil {
		return nil, err
	}
	j := &job{name: filepath.Base(log), log: log, cmd: cmd, space: space, done: make(chan struct{})}
	go func() {
		space.Wait(cmd)
		close(j.done)
	}()
	return j, nil
}

func (j *job) ended() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and kills it when it does not in time.
func (j *job) stop(within time.Duration) {
	if within > 0 && !j.ended() {
		_ = j.cmd.Process.Signal(syscall.SIGTERM) // it may have ended meanwhile
		select {
		case <-j.done:
		case <-time.After(within):
		}
	}
	j.space.Stop(j.cmd)
	<-j.done
}

// says is the end of its log.
func (j *job) says() string {
	text, err := os.ReadFile(j.log)
	if err != nil {
		return err.Error()
	}
	const lines = 25
	all := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Sprintf("%s says:\n%s", j.name, strings.Join(all[max(0, len(all)-lines):], "\n"))
}

// until asks again and again, until there is no error, the process has ended or the
// time is up.
func (j *job) until(what string, within time.Duration, ask func() error) error {
	for deadline := time.Now().Add(within); ; time.Sleep(pollEvery) {
		err := ask()
		switch {
		case err == nil:
			return nil
		case j.ended():
			return fmt.Errorf("%s ended before %s\n%s", j.name, what, j.says())
		case time.Now().After(deadline):
			return fmt.Errorf("%s: not within %s that %s: %w\n%s", j.name, within, what, err, j.says())
		}
	}
}

// pollEvery is the time between two questions to something that starts.
const pollEvery = 50 * time.Millisecond
