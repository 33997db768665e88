package image_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A container is what an engine does with an image, as far as these tests need it:
// namespaces, mounts, the root, the user, no capabilities. The test program starts
// itself for that, under the name inside.
type container struct {
	Root     string            // the root file system
	ReadOnly bool              // as with docker run --read-only
	Mounts   map[string]string // directories outside, by the path inside
	Fixed    []string          // the paths inside that are mounted read-only
	UID, GID int
	Dir      string
	Argv     []string
	Env      []string
	Join     int // a process to join, as docker exec does
}

const inside = "merlon-container"

func TestMain(m *testing.M) {
	if os.Args[0] == inside {
		fmt.Fprintln(os.Stderr, "container:", enter(os.Args[1]))
		os.Exit(125)
	}
	var err error
	if scratch, err = os.MkdirTemp("", "merlon-image-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// scratch is a directory for what all tests share.
var scratch string

// command returns the command that starts c.
func (c container) command(ctx context.Context, t *testing.T) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{inside, string(text)}
	cmd.Env = []string{}
	if c.Join == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS,
			Pdeathsig:  syscall.SIGKILL,
		}
	}
	return cmd
}

// enter becomes the program of a container. It returns only when that fails.
func enter(text string) error {
	// What follows is per thread, and so is what a program inherits.
	runtime.LockOSThread()
	var c container
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	root := c.Root
	if c.Join != 0 {
		if err := joinNetwork(c.Join); err != nil {
			return err
		}
		root = fmt.Sprintf("/proc/%d/root", c.Join)
	} else if err := c.mount(); err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := unix.Chdir(c.Dir); err != nil {
		return fmt.Errorf("chdir: %w", err)
	}
	if err := c.drop(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", c.Argv[0], unix.Exec(c.Argv[0], c.Argv, c.Env))
}

// mount makes the mounts and brings the loopback interface up.
func (c container) mount() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	bind := func(from, to string, flags uintptr) error {
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", to, err)
		}
		return unix.Mount("", to, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOSUID|unix.MS_NODEV|flags, "")
	}
	// Those below stay as they are when the root becomes read-only.
	if err := unix.Mount(c.Root, c.Root, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	for to, from := range c.Mounts {
		var flags uintptr = unix.MS_NOEXEC
		for _, fixed := range c.Fixed {
			if fixed == to {
				flags |= unix.MS_RDONLY
			}
		}
		if err := bind(from, filepath.Join(c.Root, to), flags); err != nil {
			return err
		}
	}
	var flags uintptr = unix.MS_REMOUNT | unix.MS_BIND
	if c.ReadOnly {
		flags |= unix.MS_RDONLY
	}
	if err := unix.Mount("", c.Root, "", flags, ""); err != nil {
		return fmt.Errorf("remount the root: %w", err)
	}
	return loopbackUp()
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, lo); err != nil {
		return err
	}
	lo.SetUint16(lo.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo)
}

// joinNetwork puts this thread into the network of a process.
func joinNetwork(pid int) error {
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Setns(int(f.Fd()), unix.CLONE_NEWNET)
}

// drop gives up what the user of the image does not have: as docker run does with
// --user, --cap-drop ALL and --security-opt no-new-privileges.
func (c container) drop() error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			break // the last was the one before
		}
		if err != nil {
			return fmt.Errorf("capability %d: %w", capability, err)
		}
	}
	for _, call := range [][4]uintptr{
		{unix.SYS_SETGROUPS, 0, 0, 0},
		{unix.SYS_SETRESGID, uintptr(c.GID), uintptr(c.GID), uintptr(c.GID)},
		{unix.SYS_SETRESUID, uintptr(c.UID), uintptr(c.UID), uintptr(c.UID)},
	} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return fmt.Errorf("becoming %d:%d: %w", c.UID, c.GID, errno)
		}
	}
	return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
}

// dialIn connects to an address in the network of a process.
func dialIn(pid int) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		type result struct {
			conn net.Conn
			err  error
		}
		done := make(chan result, 1)
		go func() {
			// The thread is in another network for good: it ends with its goroutine.
			runtime.LockOSThread()
			if err := joinNetwork(pid); err != nil {
				done <- result{nil, err}
				return
			}
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			done <- result{conn, err}
		}()
		r := <-done
		return r.conn, r.err
	}
}

// needsRoot skips a test that this machine cannot run, but never in CI.
func needsRoot(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run", "^$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWPID}
	err := cmd.Run()
	switch {
	case err == nil && os.Geteuid() == 0:
	case os.Getenv("CI") == "true":
		t.Fatalf("starting the image needs root and namespaces: %v", err)
	default:
		t.Skip("skipped: starting the image needs root and namespaces")
	}
}
