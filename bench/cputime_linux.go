package bench

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// CPUTime is what this process has used of all processors, in nanoseconds. Unlike
// the clock on the wall it does not count what others do on the machine.
func CPUTime() int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(fmt.Sprint("bench: getrusage: ", err)) // arguments are right
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// threadCPU is what this thread has used. Getrusage would say it to the tick of
// the scheduler only.
func threadCPU() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprint("bench: clock_gettime: ", err))
	}
	return t.Nano()
}

// OnOneProcessor calls f, which starts processes, and keeps these on one processor,
// always the same: the others may be busier.
func OnOneProcessor(f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		return err
	}
	for cpu := range 1024 {
		if all.IsSet(cpu) {
			one.Zero()
			one.Set(cpu) // the last one in the end: interrupts prefer the first
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return err
	}
	err := f()
	return errors.Join(err, unix.SchedSetaffinity(0, &all))
}
