// Package appliance makes the virtual machine in which a patch's scripts run, and
// reads what that machine reports.
//
// The appliance is a Linux kernel and an initramfs: a static busybox, the kernel
// modules of the disks and file systems that images have, and a first process,
// init.sh. It is given two disks: a copy of an image, and a read-only disk that
// holds the patch. It has no network card. It mounts the image as the image's own
// fstab says, runs the scripts in it, runs the commands that prove the fix, reads
// the versions of packages, and switches itself off. It reports over a serial port,
// in lines that Parse reads. The guest's kernel alone reads what is in the image.
package appliance
