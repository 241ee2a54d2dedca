//! What the kernel and the engine refuse to whoever is inside.

use longshore_tests::Host;

use super::{ATTACKERS, all_refused, goes_on, plain, run};

#[test]
fn nothing_can_be_mounted_and_no_namespace_made_or_entered() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
for name, flags in [('bind', 4096), ('tmpfs', 0), ('remount', 32), ('proc', 0), ('overlay', 0)]:
    attempt(f'mount {name}', lambda: call('mount', b'/tmp', b'/usr/local/bin', name.encode(), flags, None))
attempt('umount', lambda: call('umount2', b'/workspace/global', 2))
for name, flag in [('user', 0x10000000), ('mount', 0x20000), ('net', 0x40000000), ('pid', 0x20000000), ('uts', 0x4000000),
                   ('ipc', 0x8000000), ('cgroup', 0x2000000), ('user and mount', 0x10020000)]:
    attempt(f'unshare {name}', lambda: call('unshare', flag))
for name in ['mnt', 'net', 'pid', 'user']:
    attempt(f'setns {name}', lambda: call('setns', os.open(f'/proc/1/ns/{name}', os.O_RDONLY), 0))
attempt('chroot', lambda: os.chroot('/tmp'))
attempt('handle', lambda: call('open_by_handle_at', os.open('/workspace/group', 0), ctypes.create_string_buffer(b'\x08\0\0\0\x01\0\0\0\x02' + b'\0' * 32), 0))
attempt('unshare(1)', lambda: subprocess.run(['unshare', '-Ur', 'true'], check=True))
";
    for group in ATTACKERS {
        all_refused(&run(&host, group, attack), 20);
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn the_kernel_takes_no_orders_from_inside() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
attempt('module', lambda: call('init_module', b'x', 1, b''))
attempt('remove module', lambda: call('delete_module', b'overlay', 0))
attempt('dmesg', lambda: call('klogctl', 3, ctypes.create_string_buffer(4096), 4096) or 1)
attempt('host name', lambda: call('sethostname', b'evil', 4))
attempt('clock', lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt('swap', lambda: call('swapon', b'/tmp', 0))
attempt('reboot', lambda: call('reboot', 0))
attempt('accounting', lambda: call('acct', b'/tmp/x'))
attempt('priority', lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))
attempt('realtime', lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
attempt('root', lambda: os.setuid(0))
attempt('root group', lambda: os.setgroups([0]))
attempt('owner', lambda: os.chown('/workspace/group/attack.out', 0, 0))
attempt('processes limit', lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)))
for path in ['/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sys/vm/overcommit_memory',
             '/proc/sysrq-trigger', '/proc/irq/default_smp_affinity', '/sys/kernel/mm/transparent_hugepage/enabled',
             '/sys/power/state', '/sys/kernel/uevent_helper', '/sys/fs/cgroup/memory/memory.limit_in_bytes',
             '/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/pids/pids.max', '/sys/fs/cgroup/pids.max',
             '/sys/fs/cgroup/cgroup.procs', '/sys/fs/cgroup/release_agent', '/sys/fs/cgroup/devices/devices.allow']:
    attempt(path, lambda: os.write(os.open(path, os.O_WRONLY), b'1'))
attempt('new cgroup', lambda: os.mkdir('/sys/fs/cgroup/evil'))
attempt('new memory cgroup', lambda: os.mkdir('/sys/fs/cgroup/memory/evil'))
";
    for group in ATTACKERS {
        all_refused(&run(&host, group, attack), 31);
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_container_sees_its_own_processes_and_bears_its_groups_name() {
    let installation = plain();
    let host = Host::start(&installation);
    // Another group's container runs meanwhile.
    assert_eq!(host.chat("bob", "hello").status, 0);
    let attack = r"
print('host', socket.gethostname())
for name in ['pid', 'ipc', 'uts', 'net', 'mnt']:
    print('namespace', name, os.readlink(f'/proc/self/ns/{name}'))
processes = [entry for entry in os.listdir('/proc') if entry.isdigit()]
lines = [read(f'/proc/{entry}/cmdline').replace(b'\0', b' ').decode() for entry in processes if os.path.exists(f'/proc/{entry}/cmdline')]
print('processes', len(lines), [line for line in lines if line])
for path in ['/dev/shm', '/dev/mqueue']:
    print('shared', os.listdir(path))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        assert!(output.contains(&format!("host {group}\n")), "{output}");
        for name in ["pid", "ipc", "uts", "net", "mnt"] {
            let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
            assert!(
                output.contains(&format!("namespace {name} {name}:[")) && !output.contains(&ours),
                "{ours}: {output}"
            );
        }
        let processes = output.lines().find(|line| line.starts_with("processes")).unwrap();
        assert!(processes.contains("attack.py") && processes.contains("longshore-agent"), "{processes}");
        let host_process = installation.root().display().to_string();
        for other in [host_process.as_str(), "dockerd", "containerd", "--rehearsal"] {
            assert!(!processes.contains(other), "{other}: {processes}");
        }
        assert_eq!(output.matches("shared []").count(), 2, "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn a_set_user_id_program_gives_nobody_anything() {
    let installation = plain();
    let host = Host::start(&installation);
    let attack = r"
import shutil
shutil.copy('/bin/cat', '/workspace/group/cat')
os.chmod('/workspace/group/cat', 0o6755)
print('bits', oct(os.stat('/workspace/group/cat').st_mode))
lines = dict(line.split(':\t') for line in read('/proc/self/status').decode().splitlines() if ':\t' in line)
print('status', lines['NoNewPrivs'], lines['CapEff'], lines['CapPrm'], lines['CapBnd'], lines['CapAmb'], lines['Seccomp'])
for program in (['su', '-c', 'id'], ['mount', '/tmp'], ['newgrp', 'root'], ['chsh', '-s', '/bin/sh', 'root'], ['passwd', '-d', 'root']):
    attempt(program[0], lambda: subprocess.run(program, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=20))
attempt('shadow', lambda: read('/etc/shadow'))
";
    for group in ATTACKERS {
        let output = run(&host, group, attack);
        all_refused(&output, 6);
        let none = "0000000000000000";
        assert!(output.contains(&format!("status 1 {none} {none} {none} {none} 2")), "{output}");
    }
    goes_on(&host, &ATTACKERS);
}

#[test]
fn what_is_not_its_own_cannot_be_traced_or_signalled() {
    let installation = plain();
    let host = Host::start(&installation);
    // The ids are the host's; inside they are nobody's, or one of the container's own.
    let (host_pid, own_pid) = (host.pid(), std::process::id());
    let attack = format!(
        r"
for pid in [{host_pid}, {own_pid}]:
    alien = not os.path.exists(f'/proc/{{pid}}')
    if alien:
        attempt(f'trace {{pid}}', lambda: call('ptrace', 16, pid, 0, 0))
        attempt(f'signal {{pid}}', lambda: os.kill(pid, 0))
        attempt(f'memory {{pid}}', lambda: read(f'/proc/{{pid}}/mem'))
    else:
        print(f'inside {{pid}}: refused')
"
    );
    for group in ATTACKERS {
        all_refused(&run(&host, group, &attack), 2);
    }
    goes_on(&host, &ATTACKERS);
}
