package testbed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// process is a running server. It ends when the test does, however that ends.
type process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// startProcess runs a binary with its output in dir/NAME.log.
func startProcess(dir, binary string, args ...string) (*process, error) {
	return startProcessWith(nil, dir, binary, args...)
}

// startProcessWith adds to the environment.
func startProcessWith(env []string, dir, binary string, args ...string) (*process, error) {
	name := filepath.Base(binary)
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Env = append(processEnv(dir), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = diesWithParent()
	started := make(chan error, 1)
	go func() {
		defer out.Close()
		// Linux ends the process with the thread that started it, so this
		// thread has to stay until then.
		runtime.LockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait() // why it ended stands in its log
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// processEnv has nothing of the caller's but where programs are.
func processEnv(dir string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir}
}

// stop ends the process at once: what it has stored goes with it.
func (p *process) stop() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	<-p.done
	return nil
}

// freeze halts the process: its port takes connections and nothing answers. A
// signal is sent before it is obeyed, so it waits until each thread stands.
func (p *process) freeze() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze %s: %w", p.name, err)
	}
	for !p.ended() {
		halted, err := allHalted(p.cmd.Process.Pid)
		if err != nil {
			return fmt.Errorf("freeze %s: %w", p.name, err)
		}
		if halted {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return fmt.Errorf("freeze %s: it has ended\n%s", p.name, p.says())
}

// allHalted reads the state of a process's threads: proc_pid_stat(5), field 3.
func allHalted(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil {
		return false, err
	}
	for _, thread := range threads {
		text, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return false, err
		}
		// The name, in brackets, may hold anything.
		after := text[bytes.LastIndexByte(text, ')')+1:]
		if !bytes.HasPrefix(after, []byte(" T")) {
			return false, nil
		}
	}
	return true, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// says is the end of its log.
func (p *process) says() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return p.name + " says:\n" + lastLines(string(text), 15)
}
