"""What goes wrong, each with its end: a fault is a pair of functions, and how long it lasts, seconds."""


class Fault:
    def __init__(self, name, begin, end, lasts_s):
        self.name, self.begin, self.end, self.lasts_s = name, begin, end, lasts_s


def cut_from(cluster, host, others):
    """Silence between a host and others."""
    def begin():
        for other in others:
            cluster.net.cut(host, other.host)

    def end():
        for other in others:
            cluster.net.heal(host, other.host)

    return begin, end


def leader_faults(cluster, leader):
    """By name: what can happen to the control plane that leads."""
    net, host = cluster.net, leader.host
    return {
        "kill": Fault("kill -9 of the leader", leader.kill, leader.start, 14),
        "pause": Fault("SIGSTOP of the leader", leader.pause, leader.go_on, 16),
        "short pause": Fault("SIGSTOP of the leader, shorter than its term", leader.pause, leader.go_on, 4),
        "stop": Fault("SIGTERM of the leader", leader.stop, leader.start, 10),
        "nodes": Fault("leader cut off from every node", *cut_from(cluster, host, cluster.nodes), 22),
        "database": Fault("leader cut off from PostgreSQL", *cut_from(cluster, host, [cluster.postgres]), 16),
        "link": Fault("ip link down of the leader", lambda: net.link(host, False), lambda: net.link(host, True), 16),
    }


def node_faults(cluster, node):
    net = cluster.net
    controls = cluster.controls
    return {
        "node kill": Fault(f"kill -9 of {node.host}", node.kill, node.start, 4),
        "node pause": Fault(f"SIGSTOP of {node.host}", node.pause, node.go_on, 8),
        "node link": Fault(f"ip link down of {node.host}", lambda: net.link(node.host, False),
                           lambda: net.link(node.host, True), 8),
        "node cut": Fault(f"{node.host} cut off from the control planes", *cut_from(cluster, node.host, controls), 9),
        "one way": Fault(f"nothing from the control planes reaches {node.host}",
                         lambda: [net.cut(control.host, node.host, both_ways=False) for control in controls],
                         lambda: [net.heal(control.host, node.host) for control in controls], 9),
        "slow": Fault(f"{node.host} 80 ms away, 2 in 100 packets lost",
                      lambda: net.worsen(node.host, delay_ms=80, loss=0.02), lambda: net.mend(node.host), 8),
    }


def others(cluster):
    net = cluster.net
    hosts = [*cluster.nodes, *cluster.controls]
    return {
        "all slow": Fault("everything 25 ms apart, 1 in 100 packets lost",
                          lambda: [net.worsen(one.host, delay_ms=25, loss=0.01) for one in hosts],
                          lambda: [net.mend(one.host) for one in hosts], 8),
        "database crash": Fault("kill -9 of PostgreSQL", cluster.postgres.kill, cluster.postgres.start, 3),
    }


def any_fault(cluster, rng):
    """One at random; the leader's are the likelier."""
    roll = rng.random()
    if roll < 0.5:
        found = leader_faults(cluster, cluster.leader())
    elif roll < 0.85:
        found = node_faults(cluster, rng.choice(cluster.nodes))
    else:
        found = others(cluster)
    return found[rng.choice(sorted(found))]


def healthy(cluster):
    return any(control.leads() for control in cluster.controls) and all(node.ready() for node in cluster.nodes)
