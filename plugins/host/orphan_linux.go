package host

import (
	"os/exec"
	"syscall"
)

// dieWithHost makes the kernel end the plugin when the daemon is killed, which
// leaves it no chance to do so itself.
func dieWithHost(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
