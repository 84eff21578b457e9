"""Problems about grids, graphs, intervals, stacks and small simulations.

Source: data synthesis specification, section 14.
"""

from __future__ import annotations

from nanovl.synth.text.algorithms.problem import problem

__all__: list[str] = []


@problem("g=grid2..4*0..9")
def row_with_most(g: list[list[int]]) -> int:
    """Return the number (from 0) of the row of g with the largest sum; of several, the first."""
    best = 0
    for i in range(len(g)):
        if sum(g[i]) > sum(g[best]):
            best = i
    return best


@problem("g=grid2..4*0..9")
def transpose_sum(g: list[list[int]]) -> list[int]:
    """Return the sums of the columns of g."""
    sums = [0] * len(g[0])
    for row in g:
        for j, x in enumerate(row):
            sums[j] += x
    return sums


@problem("g=grid3..4*0..1")
def count_islands(g: list[list[int]]) -> int:
    """Return how many groups of ones, joined by sides, the grid g has."""
    g = [row[:] for row in g]
    islands = 0
    for i in range(len(g)):
        for j in range(len(g[0])):
            if g[i][j] != 1:
                continue
            islands += 1
            stack = [(i, j)]
            while stack:
                y, x = stack.pop()
                if 0 <= y < len(g) and 0 <= x < len(g[0]) and g[y][x] == 1:
                    g[y][x] = 0
                    stack += [(y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)]
    return islands


@problem("g=grid2..4*1..9")
def cheapest_path(g: list[list[int]]) -> int:
    """Return the least sum of a path from the top left to the bottom right of g, going only
    right or down.
    """
    best = [row[:] for row in g]
    for i in range(len(g)):
        for j in range(len(g[0])):
            if i > 0 and j > 0:
                best[i][j] += min(best[i - 1][j], best[i][j - 1])
            elif i > 0:
                best[i][j] += best[i - 1][j]
            elif j > 0:
                best[i][j] += best[i][j - 1]
    return best[-1][-1]


@problem("g=grid3..4*0..9")
def peaks(g: list[list[int]]) -> int:
    """Return how many cells of g are larger than all neighbours by a side."""
    count = 0
    for i in range(len(g)):
        for j in range(len(g[0])):
            around = []
            for y, x in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                if 0 <= y < len(g) and 0 <= x < len(g[0]):
                    around.append(g[y][x])
            if g[i][j] > max(around):
                count += 1
    return count


@problem("g=grid3..3*0..9")
def spiral(g: list[list[int]]) -> list[int]:
    """Return the numbers of g along a spiral, clockwise from the top left."""
    rows = [row[:] for row in g]
    found = []
    while rows:
        found += rows.pop(0)
        rows = [list(column) for column in zip(*rows)][::-1]  # noqa: B905
    return found


@problem("e=pairs3..7*0..6")
def degrees(e: list[list[int]]) -> list[int]:
    """e lists the edges of a graph with points 0 to 6. Return the number of edge ends at each."""
    ends = [0] * 7
    for u, v in e:
        ends[u] += 1
        ends[v] += 1
    return ends


@problem("e=pairs3..7*0..6")
def components(e: list[list[int]]) -> int:
    """e lists the edges of a graph with points 0 to 6. Return how many connected parts it has."""
    group = list(range(7))
    parts = 7
    for u, v in e:
        a, b = group[u], group[v]
        if a != b:
            parts -= 1
            for i in range(7):
                if group[i] == a:
                    group[i] = b
    return parts


@problem("e=pairs5..9*0..6 target=1..6")
def shortest_way(e: list[list[int]], target: int) -> int:
    """e lists two-way roads between towns 0 to 6. Return the least number of roads from town 0
    to the target, or -1.
    """
    distance = {0: 0}
    queue = [0]
    for town in queue:
        for u, v in e:
            for start, end in ((u, v), (v, u)):
                if start == town and end not in distance:
                    distance[end] = distance[town] + 1
                    queue.append(end)
    return distance.get(target, -1)


@problem("e=pairs3..6*0..20")
def covered(e: list[list[int]]) -> int:
    """Each pair of e marks all whole numbers from its smaller to its larger end. Return how many
    different numbers are marked.
    """
    marked = [False] * 21
    for u, v in e:
        for k in range(min(u, v), max(u, v) + 1):
            marked[k] = True
    return sum(marked)


@problem("e=pairs3..6*0..20")
def merged_spans(e: list[list[int]]) -> int:
    """Each pair of e is an interval between its two ends, ends included. Return how many
    intervals are left when those that share a point are joined.
    """
    spans = sorted((min(u, v), max(u, v)) for u, v in e)
    count = 0
    end = -1
    for low, high in spans:
        if low > end:
            count += 1
        end = max(end, high)
    return count


@problem("e=pairs3..6*0..20", "O(n log n)")
def most_meetings(e: list[list[int]]) -> int:
    """Each pair of e gives two ends of a meeting. Return how many meetings can be attended when
    each must start after the one before has ended.
    """
    meetings = sorted((max(u, v), min(u, v)) for u, v in e)
    count = 0
    free_from = -1
    for end, start in meetings:
        if start > free_from:
            count += 1
            free_from = end
    return count


@problem("moves=str4..12:UDLR")
def final_place(moves: str) -> list[int]:
    """Start at [0, 0] and move one step for each letter (U: y + 1, D: y - 1, L: x - 1,
    R: x + 1). Return [x, y].
    """
    x = y = 0
    for move in moves:
        if move == "U":
            y += 1
        elif move == "D":
            y -= 1
        elif move == "L":
            x -= 1
        else:
            x += 1
    return [x, y]


@problem("moves=str4..12:FFLR")
def robot(moves: str) -> list[int]:
    """A robot at [0, 0] faces up. F moves it one step, L and R turn it. Return its place."""
    x, y = 0, 0
    dx, dy = 0, 1
    for move in moves:
        if move == "F":
            x, y = x + dx, y + dy
        elif move == "L":
            dx, dy = -dy, dx
        else:
            dx, dy = dy, -dx
    return [x, y]


@problem("a=4..8*1..9")
def next_larger(a: list[int]) -> list[int]:
    """For every number of a return the next larger one to its right, or -1."""
    result = [-1] * len(a)
    stack: list[int] = []
    for i, x in enumerate(a):
        while stack and a[stack[-1]] < x:
            result[stack.pop()] = x
        stack.append(i)
    return result


@problem("s=str3..8:pppop")
def stack_depth(s: str) -> int:
    """p pushes on a stack and o takes one off (nothing happens if it is empty). Return the
    greatest number of things on the stack.
    """
    size = best = 0
    for c in s:
        if c == "p":
            size += 1
        elif size > 0:
            size -= 1
        best = max(best, size)
    return best


@problem("cells=5..9*0..1 steps=1..5")
def automaton(cells: list[int], steps: int) -> list[int]:
    """In every step a cell becomes 1 if exactly one of its two neighbours is 1, else 0; beyond
    the ends there are zeros. Return the cells after the steps.
    """
    for _ in range(steps):
        wide = [0, *cells, 0]
        cells = [wide[i - 1] ^ wide[i + 1] for i in range(1, len(wide) - 1)]
    return cells


@problem("arrivals=3..6*0..9 minutes=2..5")
def queue_wait(arrivals: list[int], minutes: int) -> int:
    """Customers arrive at the given minutes and each is served for the same time, one after
    another by arrival. Return the total time they wait.
    """
    free = waited = 0
    for arrival in sorted(arrivals):
        start = max(free, arrival)
        waited += start - arrival
        free = start + minutes
    return waited


@problem("keys=4..8*1..20d")
def tree_height(keys: list[int]) -> int:
    """Insert the different keys one by one into a binary search tree. Return the number of its
    levels.
    """
    depth: dict[int, int] = {}
    for key in keys:
        smaller = [k for k in depth if k < key]
        larger = [k for k in depth if k > key]
        parents = [depth[max(smaller)]] if smaller else []
        if larger:
            parents.append(depth[min(larger)])
        depth[key] = max(parents, default=0) + 1
    return max(depth.values())


@problem("votes=5..9*1..4")
def majority(votes: list[int]) -> int:
    """Return the candidate with more than half of the votes, or 0 if there is none."""
    candidate = count = 0
    for vote in votes:
        if count == 0:
            candidate = vote
        count += 1 if vote == candidate else -1
    return candidate if 2 * votes.count(candidate) > len(votes) else 0
