"""The misconceptions of 07-gan, the subtle ones of each exercise first."""

from __future__ import annotations

import inspect

from autograder.misconceptions import Mutant, edited
from gradus import gan

# Hints that several exercises share.
GRAPH = (
    "The values are right, but no gradient gets by: detach, .data, .item() and "
    "torch.tensor take a value out of the graph. Compute with the tensors themselves."
)
FLOAT32 = (
    "This looks like a tensor that is made in float32 on the way. What a function "
    "makes has to follow its input's dtype and device: torch.ones_like, x.new_zeros, "
    "dtype=x.dtype."
)
DETOUR = (
    "This looks like a detour through float32, which keeps seven digits of float64's "
    "sixteen. Stay in the dtype of the input."
)
IN_PLACE = (
    "This writes into the caller's tensors: an operation that ends in _, and +=, "
    "change the argument itself. Compute a new tensor."
)
ROUNDED = (
    "This looks like the logarithm of a rounded probability. Far out σ is exactly 0 or"
    " 1, and whatever is clamped or added then is no longer the loss: compute log σ "
    "from the logit, by softplus or logsigmoid."
)
CLAMPED = (
    "This looks like a clamp. Outside of its bounds the loss is flat, and no gradient "
    "gets through where it is needed most: log σ of a logit needs no clamping."
)
GLOBAL = (
    "This draws from torch's global generator. Whatever is random here comes from the "
    "generator that is handed in, or the same seed does not give the same result."
)
MEANS = (
    "This looks like a sum where a mean was asked for. Each term is a mean over its own "
    "batch, so that the batch size does not change the loss."
)
FLAGS = (
    "This looks like requires_grad switched for everyone at the end. Some layers may "
    "have been frozen before: each flag has to end as it was, or better, is never "
    "touched."
)
BEFORE = (
    "This is the loss after the step. What is asked for is the loss that the step went "
    "down, computed before it."
)
ITEM = (
    "A tensor comes back, and a float was asked for: the number in it, without the tensor around."
)
OLD = (
    "Gradients that were there before are added to the new ones, since backward adds and "
    "never replaces. Clear them before it."
)
OWN = (
    "The optimiser that is handed in has made no step: this looks like one made inside of the "
    "function, or a step by hand. Adam remembers its last steps, so it has to be that very one."
)
NO_STEP = (
    "Nothing has moved: between backward, which fills the gradients, and the "
    "optimiser's step, which uses them, nothing may clear them."
)
LEFT = (
    "backward reaches D's parameters, too, and what it leaves there stays there. Clear D "
    "after the backward pass, also what was there before, frozen layers included."
)
MIDDLE = (
    "Part of the gradient is cut off: p and q count both as the weights of the "
    "logarithms and inside them. Don't detach either."
)
NOISE = (
    "The noise is not N(0, I): each of the batch_size times latent_dim numbers is drawn "
    "on its own, from the standard normal distribution (torch.randn, not torch.rand)."
)
FRESH = (
    "This looks like noise or rows that are drawn once and used again. Every update of D"
    " gets its own of both: draw inside of the inner loop."
)
SHOWN = (
    "D is shown something else than rows of real as they are. What D is shown as real is"
    " what G learns to make: no scaling, no noise."
)
RANDINT = (
    "This looks like one off at the upper end. torch.randint excludes it already, so "
    "the length itself is right."
)
RATE = (
    "The two networks don't learn at the same rate. Both optimisers take the rate lr that"
    " is handed in."
)
EUCLIDEAN = (
    "This is another distance. Near means Euclidean: the root of the sum of squared "
    "differences, compared with the radius (or both sides squared)."
)
COUNTS = (
    "Modes and samples are mixed up. covered is a number of modes, an int; quality a "
    "share of the samples, a float."
)
WITHOUT_BATCH = (
    "What comes of one row depends on the rows beside it, as with batch "
    "normalisation or a mean over the batch. Every layer has to treat each row "
    "alone."
)
TWICE = (
    "The same row gives two answers, as with dropout or noise inside. The answer has to "
    "be the same in training and in evaluation."
)
BOUNDED = (
    "The output is bounded by its last activation. The last layer is linear: data may "
    "lie anywhere, and a logit is any number of either sign."
)
COPIES = (
    "The buffer shares memory with somebody else. What goes in has to be cut from its "
    "graph and copied, and what comes out is a copy, too: a slice is none."
)
OTHERS = (
    "This looks like each row compared with itself, too, or not with all the others. "
    "The sum runs over j ≠ i, and equal rows count 1 each: b − 1 at most."
)
L1_SUM = (
    "This is another distance. L1 is the sum over r of absolute differences, not squared "
    "and not averaged, for each o alone."
)

# --- discriminator_loss --------------------------------------------------------------------------


def d_loss(*lines: str) -> str:
    """discriminator_loss with this body."""
    body = "\n    ".join(lines)
    return f"def discriminator_loss(real_logits, fake_logits):\n    {body}\n"


BCE = "F.binary_cross_entropy_with_logits"

DISCRIMINATOR_LOSS = tuple(
    Mutant("discriminator_loss", *mutant)
    for mutant in (
        (
            "a detour through float32",
            DETOUR,
            d_loss(
                "cost = lambda x: F.softplus(x.float()).mean().to(x.dtype)",
                "return cost(-real_logits) + cost(fake_logits)",
            ),
        ),
        (
            "labels kept from one call to the next",
            "Something is kept from an earlier call, with its dtype. A function's answer depends "
            "on its arguments alone.",
            "KEPT = {}\n\n\n"
            + d_loss(
                "for n in (len(real_logits), len(fake_logits)):",
                "    KEPT.setdefault(n, torch.ones(n, dtype=real_logits.dtype))",
                "ones, zeros = KEPT[len(real_logits)], 0 * KEPT[len(fake_logits)]",
                f"return {BCE}(real_logits, ones) + {BCE}(fake_logits, zeros)",
            ),
        ),
        (
            "a kink at 0",
            (
                "The values are right, but this looks like a loss put together from max and "
                "abs: at a logit of 0 its slope is not that of log(1 + e^x), which is smooth."
                " Torch has it as one function."
            ),
            d_loss(
                "cost = lambda x: (x.clamp(min=0) + (-x.abs()).exp().log1p()).mean()",
                "return cost(-real_logits) + cost(fake_logits)",
            ),
        ),
        (
            "one mean over both batches",
            (
                "This looks like one mean over both batches. Each term is a mean over its own"
                " batch: real and generated rows weigh alike, however many there are of each."
            ),
            d_loss(
                "logits = torch.cat([real_logits, fake_logits])",
                "labels = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)])",
                f"return 2 * {BCE}(logits, labels)",
            ),
        ),
        (
            "no gradient to the generated rows' logits",
            GRAPH,
            d_loss(
                "return F.softplus(-real_logits).mean() + F.softplus(fake_logits.detach()).mean()"
            ),
        ),
        (
            "clamped logits",
            CLAMPED,
            d_loss(
                "real, fake = (x.clamp(-100, 100) for x in (real_logits, fake_logits))",
                "return F.softplus(-real).mean() + F.softplus(fake).mean()",
            ),
        ),
        (
            "the cross-entropy of probabilities, which torch clamps at 100",
            ROUNDED,
            d_loss(
                "real, fake = real_logits.sigmoid(), fake_logits.sigmoid()",
                "real_loss = F.binary_cross_entropy(real, torch.ones_like(real))",
                "return real_loss + F.binary_cross_entropy(fake, torch.zeros_like(fake))",
            ),
        ),
        (
            "the log of the sigmoid",
            ROUNDED,
            d_loss(
                "real, fake = real_logits.sigmoid(), fake_logits.sigmoid()",
                "return -real.log().mean() - (1 - fake).log().mean()",
            ),
        ),
        (
            "a small constant inside the log",
            ROUNDED,
            d_loss(
                "real, fake = real_logits.sigmoid(), fake_logits.sigmoid()",
                "return -(real + 1e-8).log().mean() - (1 - fake + 1e-8).log().mean()",
            ),
        ),
        (
            "half of the sum",
            (
                "This is half of the loss. The two means are added and not averaged: "
                "undecided, D pays log 2 twice."
            ),
            d_loss("return (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()) / 2"),
        ),
        (
            "labels exchanged",
            (
                "This looks like the labels exchanged: real rows have the label 1, generated "
                "ones 0. So large logits on real rows should cost little."
            ),
            d_loss("return F.softplus(real_logits).mean() + F.softplus(-fake_logits).mean()"),
        ),
        (
            "what D maximises",
            (
                "This is what D maximises, the mean of the logarithms. A loss is minimised: "
                "it is minus that."
            ),
            d_loss("return -F.softplus(-real_logits).mean() - F.softplus(fake_logits).mean()"),
        ),
        (
            "sums instead of means",
            MEANS,
            d_loss("return F.softplus(-real_logits).sum() + F.softplus(fake_logits).sum()"),
        ),
        (
            "smoothed labels",
            (
                "This looks like label smoothing, which is another loss. Here real rows have "
                "the label 1."
            ),
            d_loss(
                f"real = {BCE}(real_logits, torch.full_like(real_logits, 0.9))",
                "return real + F.softplus(fake_logits).mean()",
            ),
        ),
        (
            "labels in float32",
            FLOAT32,
            d_loss(
                "ones, zeros = torch.ones(len(real_logits)), torch.zeros(len(fake_logits))",
                f"return {BCE}(real_logits.float(), ones) + {BCE}(fake_logits.float(), zeros)",
            ),
        ),
        (
            "writes into the logits",
            IN_PLACE,
            d_loss(
                "fake = F.softplus(fake_logits).mean()",
                "return F.softplus(real_logits.detach().neg_()).mean() + fake",
            ),
        ),
    )
)

# --- generator_loss ------------------------------------------------------------------------------


def g_loss(saturating: str, alive: str, before: str = "pass") -> str:
    """generator_loss with these two results."""
    return f"""def generator_loss(fake_logits, saturating=False):
    {before}
    if saturating:
        return {saturating}
    return {alive}
"""


SATURATING, ALIVE = "F.logsigmoid(-fake_logits).mean()", "-F.logsigmoid(fake_logits).mean()"

GENERATOR_LOSS = tuple(
    Mutant("generator_loss", *mutant)
    for mutant in (
        (
            "half of the gradient",
            GRAPH,
            g_loss(SATURATING, f"({ALIVE} + {ALIVE}.detach()) / 2"),
        ),
        (
            "the other loss's slope",
            "The saturating loss has its value, and the slope of the other loss: its own is flat "
            "where D wins.",
            g_loss(f"{SATURATING}.detach() + ({ALIVE}) - ({ALIVE}).detach()", ALIVE),
        ),
        (
            "clamped logits",
            CLAMPED,
            g_loss(SATURATING, "F.softplus(-fake_logits.clamp(-20)).mean()"),
        ),
        (
            "the saturating loss is clamped",
            CLAMPED,
            g_loss("-F.softplus(fake_logits.clamp(-100, 100)).mean()", ALIVE),
        ),
        (
            "the log of the sigmoid",
            ROUNDED,
            g_loss(
                "(1 - fake_logits.sigmoid()).log().mean()", "-fake_logits.sigmoid().log().mean()"
            ),
        ),
        (
            "a small constant inside the log",
            ROUNDED,
            g_loss(SATURATING, "-(fake_logits.sigmoid() + 1e-8).log().mean()"),
        ),
        (
            "the saturating loss with its sign exchanged",
            (
                "The saturating loss has the wrong sign. G minimises the mean of log(1 − D) "
                "as it stands, without a minus in front: it is negative, and falls when D is "
                "fooled."
            ),
            g_loss("-F.logsigmoid(-fake_logits).mean()", ALIVE),
        ),
        (
            "both losses exchanged",
            (
                "The two losses are exchanged. Saturating is the minimax game's own, log(1 − "
                "D); without the flag it is −log D."
            ),
            g_loss(ALIVE, SATURATING),
        ),
        (
            "the flag ignored",
            (
                "The flag saturating makes no difference. With it, the loss is the mean of "
                "log(1 − D(G(z)))."
            ),
            g_loss(ALIVE, ALIVE),
        ),
        (
            "saturating by default",
            (
                "This looks like saturating=True by default. Unless it is asked for, the loss"
                " is −mean log D, which keeps its gradient where D wins."
            ),
            g_loss(SATURATING, ALIVE).replace("saturating=False", "saturating=True"),
        ),
        (
            "the discriminator's cost of generated rows",
            (
                "This is what D pays for generated rows, with the label 0. G wants D to take "
                "them for real: the label is 1."
            ),
            g_loss(SATURATING, "F.softplus(fake_logits).mean()"),
        ),
        (
            "a sum",
            MEANS,
            g_loss(SATURATING.replace("mean", "sum"), ALIVE.replace("mean", "sum")),
        ),
        ("no gradient", GRAPH, g_loss(SATURATING, ALIVE, "fake_logits = fake_logits.detach()")),
        (
            "a detour through float32",
            DETOUR,
            g_loss(
                SATURATING,
                f"({ALIVE}).to(dtype)",
                "dtype = fake_logits.dtype; fake_logits = fake_logits.float()",
            ),
        ),
        (
            "writes into the logits",
            IN_PLACE,
            g_loss(
                SATURATING,
                ALIVE,
                "fake_logits.detach().add_(0.5)",
            ),
        ),
    )
)

# --- optimal_discriminator, js_divergence --------------------------------------------------------

RIGHT_BEST = inspect.getsource(gan.optimal_discriminator)
RIGHT_JS = inspect.getsource(gan.js_divergence)


def best(result: str) -> str:
    """A cell with this optimal_discriminator, and the right js_divergence."""
    return f"def optimal_discriminator(p_data, p_g):\n    return {result}\n\n\n{RIGHT_JS}"


def js(result: str, *before: str) -> str:
    """A cell with this js_divergence, and the right optimal_discriminator."""
    lines = "\n    ".join(["m = (p + q) / 2", *before, f"return {result}"])
    return f"{RIGHT_BEST}\n\ndef js_divergence(p, q):\n    {lines}\n"


KL = "kl = lambda a: (a[a > 0] * (a[a > 0] / m[a > 0]).log()).sum()"

OPTIMAL_DISCRIMINATOR = tuple(
    Mutant("optimal_discriminator", *mutant)
    for mutant in (
        (
            "the weights are detached",
            MIDDLE,
            js(
                "(kl(p) + kl(q)) / 2",
                "kl = lambda a: (a[a > 0].detach() * (a[a > 0] / m[a > 0]).log()).sum()",
            ),
        ),
        ("one half is detached", MIDDLE, js("(kl(p) + kl(q).detach()) / 2", KL)),
        (
            "a detour through float32",
            DETOUR,
            js("((kl(p) + kl(q)) / 2).to(dtype)", "dtype = p.dtype; m = m.float()", KL).replace(
                "a[a > 0]", "a[a > 0].float()"
            ),
        ),
        (
            "a small constant in the denominator",
            (
                "This looks like a small constant in a denominator. A rare cell is not an "
                "empty one: at 1e-12 the constant outweighs what is there. Ask whether the "
                "sum is 0 instead."
            ),
            best("p_data / (p_data + p_g + 1e-8)"),
        ),
        (
            "a small constant on both sides",
            (
                "This looks like a small constant on both sides of the fraction. In a rare "
                "cell the constants are all that counts: ask whether the sum is 0 instead."
            ),
            best("(p_data + 1e-8) / (p_data + p_g + 2e-8)"),
        ),
        (
            "the generator's share",
            (
                "This is the generator's share. D says how likely a row is real, so the "
                "data's share stands above."
            ),
            best(
                "1 - torch.where(p_data + p_g > 0, p_data / (p_data + p_g).clamp(min=1e-320), 0.5)"
            ),
        ),
        (
            "0 in empty cells",
            "Where neither has a row the answer is 1/2, not 0.",
            best("torch.where(p_data > 0, p_data / (p_data + p_g), 0 * p_data)"),
        ),
        (
            "nan in empty cells",
            (
                "0/0 is nan. Decide which cells are empty before you divide: there the answer"
                " is 1/2."
            ),
            best("p_data / (p_data + p_g)"),
        ),
        (
            "the odds",
            "This is the odds p/q. A probability is the share p/(p + q).",
            best("p_data / p_g"),
        ),
        (
            "a hard decision",
            (
                "This is the more likely of two labels. D* is a probability: the share of "
                "what lies in the cell that is real."
            ),
            best("((p_data > p_g).to(p_data) + (p_data >= p_g).to(p_data)) / 2 + 0 * p_g"),
        ),
        (
            "bits",
            (
                "This is JS in bits. It is asked for in nats, with the natural logarithm: at "
                "most log 2 ≈ 0.69."
            ),
            js("(kl(p) + kl(q)) / 2 / math.log(2)", KL),
        ),
        (
            "the sum of both, not half of it",
            (
                "This is twice JS. Each of the two divergences counts half, so that disjoint "
                "supports give log 2."
            ),
            js("kl(p) + kl(q)", KL),
        ),
        (
            "one side alone",
            (
                "This is KL(p ‖ m) alone. JS is half of it and half of KL(q ‖ m), which makes"
                " it symmetric."
            ),
            js("kl(p)", KL),
        ),
        (
            "the KL divergence of p and q",
            (
                "This looks like KL(p ‖ q). Both are compared with the middle m = (p + q)/2, "
                "where nothing can become infinite."
            ),
            js("(a * (a / b).log()).sum()", "a, b = p[(p > 0) & (q > 0)], q[(p > 0) & (q > 0)]"),
        ),
        (
            "its square root",
            (
                "This is the root of JS, which is known as the Jensen–Shannon distance. The "
                "divergence itself is asked for."
            ),
            js("((kl(p) + kl(q)) / 2).clamp(min=0).sqrt()", KL),
        ),
        (
            "cells that only one has are left out",
            (
                "Cells that only one of the two has are left out. For p it matters only where"
                " p is 0: where q alone is 0, m is p/2, and the cell counts."
            ),
            js(
                "(kl(p) + kl(q)) / 2",
                "w = (p > 0) & (q > 0)",
                "kl = lambda a: (a[w] * (a[w] / m[w]).log()).sum()",
            ),
        ),
        (
            "a small constant in the log",
            (
                "This looks like a small constant inside a logarithm: disjoint supports then "
                "give less than log 2, and rare cells almost anything. Leave out the cells "
                "where p is 0."
            ),
            js(
                "(kl(p) + kl(q)) / 2",
                "kl = lambda a: (a * ((a + 1e-5) / (m + 1e-5)).log()).sum()",
            ),
        ),
        ("no gradient", GRAPH, js("torch.tensor(float((kl(p) + kl(q)) / 2), dtype=p.dtype)", KL)),
    )
)

# --- Generator, Discriminator --------------------------------------------------------------------

RIGHT_GENERATOR = inspect.getsource(gan.Generator)
RIGHT_DISCRIMINATOR = inspect.getsource(gan.Discriminator)


def generator(old: str, new: str) -> str:
    """A cell with the Generator edited."""
    return f"{edited(gan.Generator, old, new)}\n\n{RIGHT_DISCRIMINATOR}"


def discriminator(old: str, new: str) -> str:
    """A cell with the Discriminator edited."""
    return f"{RIGHT_GENERATOR}\n\n{edited(gan.Discriminator, old, new)}"


LAST_G, LAST_D = "nn.Linear(hidden_dim, out_dim),", "nn.Linear(hidden_dim, 1),"

NETWORKS = tuple(
    Mutant("Generator", *mutant)
    for mutant in (
        (
            "a linear network where hidden_dim is small",
            "Small networks skip their activations. Every size of network needs them.",
            generator(
                "x: torch.Tensor = self.layers(z)",
                "few = self.layers[0].out_features < 12\n"
                "        x: torch.Tensor = self.layers[::2](z) if few else self.layers(z)",
            ),
        ),
        (
            "samples are clamped far out",
            BOUNDED,
            generator("x: torch.Tensor = self.layers(z)", "x = self.layers(z).clamp(-1000, 1000)"),
        ),
        (
            "the row before is remembered",
            "Something is kept from one call to the next, so that the same row gives two answers.",
            discriminator(
                "logits: torch.Tensor = self.layers(x)",
                'logits = self.layers(x + 0.01 * getattr(self, "last", 0))\n'
                "        self.last = x.detach()[:1]",
            ),
        ),
        (
            "squeeze without a dimension",
            (
                "This looks like squeeze() without a dimension. It drops every dimension of "
                "size 1, also the batch's where b is 1: say which one."
            ),
            discriminator("squeeze(1)", "squeeze()"),
        ),
        (
            "batch normalisation in G",
            WITHOUT_BATCH,
            generator(LAST_G, f"nn.BatchNorm1d(hidden_dim),\n            {LAST_G}"),
        ),
        (
            "dropout in D",
            TWICE,
            discriminator(LAST_D, f"nn.Dropout(0.3),\n            {LAST_D}"),
        ),
        (
            "probabilities instead of logits",
            BOUNDED,
            discriminator(LAST_D, f"{LAST_D}\n            nn.Sigmoid(),"),
        ),
        (
            "the log of probabilities",
            BOUNDED,
            discriminator(LAST_D, f"{LAST_D}\n            nn.LogSigmoid(),"),
        ),
        (
            "tanh at the end of G",
            BOUNDED,
            generator(LAST_G, f"{LAST_G}\n            nn.Tanh(),"),
        ),
        (
            "ReLU at the end of D",
            BOUNDED,
            discriminator(LAST_D, f"{LAST_D}\n            nn.ReLU(),"),
        ),
        (
            "latent_dim is not kept",
            (
                "The generator has no latent_dim. Whoever draws the noise asks for it: keep "
                "it as an attribute in __init__."
            ),
            generator("        self.latent_dim = latent_dim\n", ""),
        ),
        (
            "logits [b, 1]",
            (
                "D's logits are [b, 1] and should be [b]. Against labels [b], [b, 1] would "
                "broadcast to [b, b] without a word."
            ),
            discriminator("logits.squeeze(1)", "logits"),
        ),
        (
            "no activation",
            (
                "There is no activation between the layers. Linear layers in a row are "
                "together one linear layer: put a nonlinearity between each two."
            ),
            f"{RIGHT_GENERATOR}\n\n"
            + RIGHT_DISCRIMINATOR.replace("nn.LeakyReLU(0.2)", "nn.Identity()"),
        ),
        (
            "a layer that is never used",
            (
                "__init__ makes a layer that forward never uses, so no gradient reaches it. "
                "Use it or drop it."
            ),
            generator(
                "self.latent_dim = latent_dim\n",
                "self.latent_dim = latent_dim\n        self.unused = nn.Linear(hidden_dim, 2)\n",
            ),
        ),
        (
            "64 units, whatever hidden_dim says",
            (
                "The width of a network is fixed in the code. hidden_dim is an argument: pass"
                " it on to the layers."
            ),
            discriminator("super().__init__()\n", "super().__init__()\n        hidden_dim = 64\n"),
        ),
        (
            "the batch's mean is taken away",
            WITHOUT_BATCH,
            discriminator("self.layers(x)", "self.layers(x - x.mean(dim=0))"),
        ),
        (
            "float32 inside",
            FLOAT32,
            generator("self.layers(z)", "self.layers(z.float())"),
        ),
    )
)

# --- discriminator_step --------------------------------------------------------------------------

SIGN_D = "def discriminator_step(generator, discriminator, optimizer, real, z):"
LOSS_D = "loss = discriminator_loss(discriminator(real), discriminator(fake))"


def d_step(*lines: str) -> str:
    """discriminator_step with this body."""
    return "\n    ".join([SIGN_D, *lines]) + "\n"


DETACHED = "fake = generator(z).detach()"
CLEAR, BACK, STEP, RETURN = (
    "optimizer.zero_grad()",
    "loss.backward()",
    "optimizer.step()",
    "return loss.item()",
)

DISCRIMINATOR_STEP = tuple(
    Mutant("discriminator_step", *mutant)
    for mutant in (
        (
            "weight decay of its own",
            "Something is added to the loss before backward. The step goes down discriminator_loss "
            "alone.",
            d_step(
                DETACHED,
                LOSS_D,
                CLEAR,
                "(loss + 1e-3 * sum((p**2).sum() for p in discriminator.parameters())).backward()",
                STEP,
                RETURN,
            ),
        ),
        (
            "the generator in the graph",
            (
                "The generator was left with gradients of D's loss: backward went through its"
                " samples. Cut them off from the graph before D sees them."
            ),
            d_step("fake = generator(z)", LOSS_D, CLEAR, BACK, STEP, RETURN),
        ),
        (
            "the generator's gradients are cleared",
            (
                "The generator's gradients are gone. What is in its .grad is not this "
                "function's to clear: cut its samples off from the graph, and nothing gets "
                "there."
            ),
            d_step(
                "fake = generator(z)", LOSS_D, CLEAR, BACK, STEP, "generator.zero_grad()", RETURN
            ),
        ),
        (
            "all flags on at the end",
            FLAGS,
            d_step(
                "generator.requires_grad_(False)",
                "fake = generator(z)",
                LOSS_D,
                CLEAR,
                BACK,
                STEP,
                "generator.requires_grad_(True)",
                RETURN,
            ),
        ),
        (
            "the discriminator is unfrozen first",
            (
                "A frozen layer of D has moved: all of D's parameters were switched on first."
                " Leave the flags as they are."
            ),
            d_step(
                "discriminator.requires_grad_(True)", DETACHED, LOSS_D, CLEAR, BACK, STEP, RETURN
            ),
        ),
        (
            "two steps, on real rows and on generated ones",
            (
                "This looks like two steps, one for real rows and one for generated ones. The"
                " loss is the sum of both, and there is one step down it."
            ),
            d_step(
                DETACHED,
                "total = 0.0",
                "for rows, sign in ((real, -1), (fake, 1)):",
                "    loss = F.softplus(sign * discriminator(rows)).mean()",
                "    optimizer.zero_grad(); loss.backward(); optimizer.step()",
                "    total += loss.item()",
                "return total",
            ),
        ),
        (
            "old gradients count",
            OLD,
            d_step(DETACHED, LOSS_D, BACK, STEP, RETURN),
        ),
        (
            "cleared between backward and step",
            NO_STEP,
            d_step(DETACHED, LOSS_D, BACK, CLEAR, STEP, RETURN),
        ),
        (
            "the loss after the step",
            BEFORE,
            d_step(DETACHED, LOSS_D, CLEAR, BACK, STEP, LOSS_D, RETURN),
        ),
        (
            "a tensor comes back",
            ITEM,
            d_step(DETACHED, LOSS_D, CLEAR, BACK, STEP, "return loss.detach()"),
        ),
        (
            "the mean of both losses",
            (
                "This is half of the loss. Its two terms are added and not averaged: "
                "undecided, D pays log 2 twice."
            ),
            d_step(DETACHED, f"{LOSS_D} / 2", CLEAR, BACK, STEP, RETURN),
        ),
        (
            "its own optimiser",
            OWN,
            d_step(
                DETACHED,
                LOSS_D,
                "optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.5)",
                CLEAR,
                BACK,
                STEP,
                RETURN,
            ),
        ),
        (
            "no step",
            NO_STEP,
            d_step(DETACHED, LOSS_D, CLEAR, BACK, RETURN),
        ),
        (
            "clipped gradients",
            ("This looks like clipped gradients. A plain step is asked for: nothing is clipped."),
            d_step(
                DETACHED,
                LOSS_D,
                CLEAR,
                BACK,
                "nn.utils.clip_grad_norm_(discriminator.parameters(), 0.1)",
                STEP,
                RETURN,
            ),
        ),
        (
            "only as many generated rows as real ones",
            (
                "Some rows are left out where the batches differ in size. Every row of both "
                "counts, and each mean is over its own batch."
            ),
            d_step(f"{DETACHED}[: len(real)]", LOSS_D, CLEAR, BACK, STEP, RETURN),
        ),
        (
            "noise is added to the caller's batch",
            IN_PLACE,
            d_step(DETACHED, LOSS_D, CLEAR, BACK, STEP, "real += 0.1", RETURN),
        ),
    )
)

# --- generator_step ------------------------------------------------------------------------------

SIGN_G = "def generator_step(generator, discriminator, optimizer, z):"
LOSS_G = "loss = generator_loss(discriminator(generator(z)))"
TIDY = "discriminator.zero_grad()"


def g_step(*lines: str) -> str:
    """generator_step with this body."""
    return "\n    ".join([SIGN_G, *lines]) + "\n"


GENERATOR_STEP = tuple(
    Mutant("generator_step", *mutant)
    for mutant in (
        (
            "the saturating loss's gradient, and the other's value",
            "The loss that comes back is right, and the step goes down the saturating one. Go down "
            "−mean log D(G(z)).",
            g_step(
                "logits = discriminator(generator(z))",
                CLEAR,
                "generator_loss(logits, saturating=True).backward()",
                STEP,
                TIDY,
                "return generator_loss(logits).item()",
            ),
        ),
        (
            "frozen layers of the discriminator are not cleared",
            LEFT,
            g_step(
                LOSS_G,
                CLEAR,
                BACK,
                STEP,
                "for p in discriminator.parameters():",
                "    if p.requires_grad: p.grad = None",
                RETURN,
            ),
        ),
        (
            "the discriminator's old gradients are put back",
            LEFT,
            g_step(
                "old = [p.grad for p in discriminator.parameters()]",
                TIDY,
                LOSS_G,
                CLEAR,
                BACK,
                STEP,
                "for p, g in zip(discriminator.parameters(), old): p.grad = g",
                RETURN,
            ),
        ),
        (
            "a step without the optimiser",
            OWN,
            g_step(
                LOSS_G,
                CLEAR,
                BACK,
                "for p in generator.parameters():",
                "    if p.grad is not None: p.data -= optimizer.param_groups[0]['lr'] * p.grad",
                TIDY,
                RETURN,
            ),
        ),
        (
            "gradients are left in the discriminator",
            LEFT,
            g_step(LOSS_G, CLEAR, BACK, STEP, RETURN),
        ),
        (
            "the discriminator is cleared too early",
            LEFT,
            g_step(CLEAR, TIDY, LOSS_G, BACK, STEP, RETURN),
        ),
        (
            "all flags on at the end",
            FLAGS,
            g_step(
                TIDY,
                "discriminator.requires_grad_(False)",
                LOSS_G,
                CLEAR,
                BACK,
                STEP,
                "discriminator.requires_grad_(True)",
                RETURN,
            ),
        ),
        (
            "the discriminator stays frozen",
            (
                "D is frozen afterwards, and can't learn any more. Every flag has to end as "
                "it was; it need not be touched at all."
            ),
            g_step(TIDY, "discriminator.requires_grad_(False)", LOSS_G, CLEAR, BACK, STEP, RETURN),
        ),
        (
            "old gradients stay in a frozen discriminator",
            LEFT,
            g_step(
                "flags = [p.requires_grad for p in discriminator.parameters()]",
                "discriminator.requires_grad_(False)",
                LOSS_G,
                CLEAR,
                BACK,
                STEP,
                "for p, flag in zip(discriminator.parameters(), flags): p.requires_grad_(flag)",
                RETURN,
            ),
        ),
        (
            "the samples are detached",
            (
                "G has not moved: the graph is cut between its samples and D. Here the "
                "gradient has to pass through D into G, so nothing may be detached."
            ),
            g_step(
                "loss = generator_loss(discriminator(generator(z).detach().requires_grad_()))",
                CLEAR,
                BACK,
                STEP,
                TIDY,
                RETURN,
            ),
        ),
        (
            "the saturating loss",
            (
                "This looks like the saturating loss. G's step goes down the other one, −mean"
                " log D(G(z))."
            ),
            g_step(
                "loss = generator_loss(discriminator(generator(z)), saturating=True)",
                CLEAR,
                BACK,
                STEP,
                TIDY,
                RETURN,
            ),
        ),
        (
            "old gradients count",
            OLD,
            g_step(LOSS_G, BACK, STEP, TIDY, RETURN),
        ),
        (
            "the discriminator steps, too",
            "D has moved as well. Only G steps here: D is nothing but the judge.",
            g_step(
                LOSS_G,
                CLEAR,
                TIDY,
                BACK,
                STEP,
                "with torch.no_grad():",
                "    for p in discriminator.parameters():",
                "        if p.grad is not None: p -= 0.01 * p.grad",
                TIDY,
                RETURN,
            ),
        ),
        (
            "uphill",
            (
                "G goes uphill. The optimiser goes down whatever backward was called on: call"
                " it on the loss, and not on its negative."
            ),
            g_step(LOSS_G, CLEAR, "(-loss).backward()", STEP, TIDY, RETURN),
        ),
        (
            "the loss after the step",
            BEFORE,
            g_step(LOSS_G, CLEAR, BACK, STEP, LOSS_G, TIDY, RETURN),
        ),
        (
            "a tensor comes back",
            ITEM,
            g_step(LOSS_G, CLEAR, BACK, STEP, TIDY, "return loss.detach()"),
        ),
        (
            "two steps",
            "There are two steps in one call, and one is asked for.",
            g_step(
                "for _ in range(2):",
                f"    {LOSS_G}",
                f"    {CLEAR}",
                f"    {BACK}",
                f"    {STEP}",
                TIDY,
                RETURN,
            ),
        ),
        (
            "its own optimiser",
            OWN,
            g_step(
                LOSS_G,
                "optimizer = torch.optim.SGD(generator.parameters(), lr=0.5)",
                CLEAR,
                BACK,
                STEP,
                TIDY,
                RETURN,
            ),
        ),
    )
)

# --- train_gan -----------------------------------------------------------------------------------

TRAINING = """def train_gan(
    generator, discriminator, real, steps, discriminator_steps, batch_size, lr, generator_rng
):
    d_optimizer = torch.optim.Adam(discriminator.parameters(), lr=lr, betas=(0.0, 0.9))
    g_optimizer = torch.optim.Adam(generator.parameters(), lr=lr, betas=(0.0, 0.9))

    def rows():
        return real[torch.randint(len(real), (batch_size,), generator=generator_rng)]

    def noise():
        size = (batch_size, generator.latent_dim)
        return torch.randn(size, generator=generator_rng, dtype=real.dtype)

    history = {"d": [], "g": []}
    for step in range(steps):
        for _ in range(discriminator_steps):
            x, z = rows(), noise()
            d = discriminator_step(generator, discriminator, d_optimizer, x, z)
        g = generator_step(generator, discriminator, g_optimizer, noise())
        history["d"].append(d)
        history["g"].append(g)
    return history
"""


def training(*changes: tuple[str, str]) -> str:
    """train_gan with the one occurrence of each old text replaced by the new one."""
    source = TRAINING
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} occurs {source.count(old)} times")
        source = source.replace(old, new)
    return source


DRAWN = "real[torch.randint(len(real), (batch_size,), generator=generator_rng)]"
INNER = "        for _ in range(discriminator_steps):\n            x, z = rows(), noise()"
OF_D = "d = discriminator_step(generator, discriminator, d_optimizer, x, z)"
OF_G = "g = generator_step(generator, discriminator, g_optimizer, noise())"
RANDN = "torch.randn(size, generator=generator_rng, dtype=real.dtype)"
MOMENTUM = (
    "discriminator.parameters(), lr=lr, betas=(0.0, 0.9)",
    "discriminator.parameters(), lr=lr",
)

TRAIN_GAN = tuple(
    Mutant("train_gan", *mutant)
    for mutant in (
        (
            "gradients are never cleared",
            OLD,
            training(
                (OF_D, "d = uncleared(discriminator, d_optimizer, x, noise())"),
                (OF_G, "g = uncleared(generator, g_optimizer, None, noise())"),
                (
                    '    history = {"d"',
                    "    def uncleared(player, optimizer, x, z):\n"
                    "        logits = discriminator(generator(z))\n"
                    "        loss = generator_loss(logits)\n"
                    "        if player is discriminator:\n"
                    "            loss = discriminator_loss(discriminator(x), logits)\n"
                    "        loss.backward(inputs=list(player.parameters()))\n"
                    "        optimizer.step()\n"
                    "        return loss.item()\n\n"
                    '    history = {"d"',
                ),
            ),
        ),
        (
            "both optimisers made anew in each step",
            "The optimisers are made in each step. Adam remembers the gradients before, so it is "
            "made once, before the loop.",
            training(
                (
                    "    for step in range(steps):\n",
                    "    for step in range(steps):\n"
                    "        d_optimizer, g_optimizer = (\n"
                    "            torch.optim.Adam(player.parameters(), lr=lr, betas=(0.0, 0.9))\n"
                    "            for player in (discriminator, generator)\n"
                    "        )\n",
                )
            ),
        ),
        (
            "new noise and the same rows for each update of the discriminator",
            FRESH,
            training(
                (
                    INNER,
                    "        x = rows()\n"
                    "        for _ in range(discriminator_steps):\n            z = noise()",
                )
            ),
        ),
        (
            "new rows and the same noise for each update of the discriminator",
            FRESH,
            training(
                (
                    INNER,
                    "        z = noise()\n"
                    "        for _ in range(discriminator_steps):\n            x = rows()",
                )
            ),
        ),
        (
            "the saturating loss's gradient, and the other's value",
            "The losses in the lists are right, and G goes down the saturating one. It goes down "
            "−mean log D(G(z)).",
            training(
                (
                    OF_G,
                    "logits = discriminator(generator(noise()))\n"
                    "        g = generator_loss(logits).item()\n"
                    "        g_optimizer.zero_grad()\n"
                    "        generator_loss(logits, saturating=True).backward()\n"
                    "        g_optimizer.step()\n"
                    "        discriminator.zero_grad()",
                )
            ),
        ),
        (
            "labels are smoothed, and the loss in the list is not",
            "The losses in the lists are right, and D goes down another one. Label smoothing is "
            "not asked for.",
            training(
                (
                    OF_D,
                    "of_real, of_fake = discriminator(x), discriminator(generator(z).detach())\n"
                    "            d = discriminator_loss(of_real, of_fake).item()\n"
                    "            labels = torch.full_like(of_real, 0.9)\n"
                    f"            loss = {BCE}(of_real, labels)\n"
                    "            d_optimizer.zero_grad()\n"
                    "            (loss + F.softplus(of_fake).mean()).backward()\n"
                    "            d_optimizer.step()",
                )
            ),
        ),
        (
            "a discriminator that learns four times as fast",
            RATE,
            training(
                ("discriminator.parameters(), lr=lr", "discriminator.parameters(), lr=4 * lr")
            ),
        ),
        (
            "a generator of its own, from the seed of the one handed in",
            "The generator stays where it is, so the next training draws the same again. Draw with "
            "the generator itself.",
            training(
                (
                    "    history = {",
                    "    seed = generator_rng.initial_seed()\n"
                    "    generator_rng = torch.Generator().manual_seed(seed)\n"
                    "    history = {",
                )
            ),
        ),
        (
            "the best of three, by a look at the data",
            "Networks are trained several times, and the best is kept. Each of the networks that "
            "are handed in is trained once, with as many updates as asked for.",
            "import copy\n\n\n"
            + TRAINING.replace("def train_gan(", "def once(")
            + """

def train_gan(generator, discriminator, real, *loop):
    tries = []
    for _ in range(3):
        g, d = copy.deepcopy(generator), copy.deepcopy(discriminator)
        history = once(g, d, real, *loop)
        with torch.no_grad():
            z = torch.randn((500, g.latent_dim), generator=loop[-1], dtype=real.dtype)
            far = torch.cdist(real, g(z)).amin(1).mean().item()
        tries.append((far, len(tries), g.state_dict(), d.state_dict(), history))
    _, _, of_g, of_d, history = min(tries)
    generator.load_state_dict(of_g)
    discriminator.load_state_dict(of_d)
    return history
""",
        ),
        (
            "fewer steps where there are many rows",
            "Trainings on many rows are cut short. Each of `steps` steps has to be made.",
            training(
                ("range(steps)", "range(steps if len(real) < 1000 else steps // 4)"),
                (
                    "    return history",
                    "    for losses in history.values():\n"
                    "        losses += losses[-1:] * (steps - len(losses))\n"
                    "    return history",
                ),
            ),
        ),
        (
            "Adam as it comes",
            (
                "This looks like Adam with its default betas. Their momentum keeps each "
                "player on a course that the other has meanwhile made wrong: take betas=(0.0,"
                " 0.9)."
            ),
            training(
                MOMENTUM,
                (
                    MOMENTUM[0].replace("discriminator", "generator"),
                    "generator.parameters(), lr=lr",
                ),
            ),
        ),
        (
            "neighbouring rows",
            (
                "This looks like rows that lie side by side in real, which may all be of one "
                "mode. Draw each row of a batch on its own from all of real."
            ),
            training(
                (
                    f"return {DRAWN}",
                    "start = int(torch.randint(len(real), (), generator=generator_rng))\n"
                    "        return real[(start + torch.arange(batch_size)) % len(real)]",
                )
            ),
        ),
        (
            "the first rows, always",
            (
                "D is shown the same rows of real at every update. Draw each batch anew, from"
                " all of real."
            ),
            training(
                (
                    f"return {DRAWN}",
                    "return real.repeat(1 + batch_size // len(real), 1)[:batch_size]",
                )
            ),
        ),
        (
            "the last row is never drawn",
            RANDINT,
            training(("torch.randint(len(real), (b", "torch.randint(max(len(real) - 1, 1), (b")),
        ),
        (
            "discriminator_steps ignored",
            (
                "D is updated once a step, whatever discriminator_steps says. The inner loop "
                "makes that many updates."
            ),
            training(("for _ in range(discriminator_steps):", "for _ in range(1):")),
        ),
        (
            "the generator steps as often as the discriminator",
            (
                "G is updated inside of the inner loop, as often as D. It has one update a "
                "step, after D's are made."
            ),
            training(
                ("        g = generator_step(", "            g = generator_step("),
            ),
        ),
        (
            "the generator first",
            "G is updated before D. In each step D's updates come first.",
            training(
                (
                    "        g = generator_step(generator, discriminator, g_optimizer, noise())\n",
                    "",
                ),
                (
                    "        for _ in range(discriminator_steps):",
                    "        g = generator_step(generator, discriminator, g_optimizer, noise())\n"
                    "        for _ in range(discriminator_steps):",
                ),
            ),
        ),
        (
            "discriminator_steps on the same batch",
            FRESH,
            training(
                (
                    INNER,
                    "        x, z = rows(), noise()\n        for _ in range(discriminator_steps):",
                )
            ),
        ),
        (
            "the same noise all the time",
            FRESH,
            training(
                (
                    '    history = {"d"',
                    '    fixed = noise()\n    noise = lambda: fixed\n    history = {"d"',
                )
            ),
        ),
        (
            "uniform noise",
            NOISE,
            training(("torch.randn(size", "torch.rand(size")),
        ),
        (
            "uniform noise with the right variance",
            NOISE,
            training(
                (f"return {RANDN}", f"return (2 * {RANDN.replace('randn', 'rand')} - 1) * 3**0.5")
            ),
        ),
        (
            "the same number in every latent dimension",
            NOISE,
            training(
                ("size = (batch_size, generator.latent_dim)", "size = (batch_size, 1)"),
                (RANDN, f"{RANDN}.repeat(1, generator.latent_dim)"),
            ),
        ),
        (
            "torch's global generator",
            GLOBAL,
            training((RANDN, "torch.randn(size, dtype=real.dtype)")),
        ),
        (
            "seeds torch's global generator",
            GLOBAL,
            training(
                (
                    "    history = {",
                    "    torch.manual_seed(generator_rng.initial_seed())\n    history = {",
                ),
                (RANDN, "torch.randn(size, dtype=real.dtype)"),
            ),
        ),
        (
            "real is standardised",
            SHOWN,
            training(
                (
                    "    def rows():",
                    "    real = (real - real.mean(0)) / (real.var(0, False) + 0.1).sqrt()\n\n"
                    "    def rows():",
                )
            ),
        ),
        (
            "noise on what D is shown",
            SHOWN,
            training(
                (
                    f"return {DRAWN}",
                    f"x = {DRAWN}\n"
                    "        return x + 0.05 * x.clone().normal_(generator=generator_rng)",
                )
            ),
        ),
        (
            "a rate of its own",
            RATE,
            training(
                (
                    "generator.parameters(), lr=lr, betas=(0.0, 0.9))\n\n",
                    "generator.parameters(), lr=2e-3, betas=(0.0, 0.9))\n\n",
                )
            ),
        ),
        (
            "no loss of the generator",
            'One of the lists stays empty. Both, "d" and "g", get a float in each step.',
            training(('        history["g"].append(g)\n', "")),
        ),
        (
            "a loss for each update of the discriminator",
            (
                'There is a loss for each update of D in "d". One float a step is asked '
                "for: the loss of its last update."
            ),
            training(
                ('        history["d"].append(d)\n', ""),
                (
                    "d_optimizer, x, z)\n",
                    'd_optimizer, x, z)\n            history["d"].append(d)\n',
                ),
            ),
        ),
        (
            "float32 noise",
            FLOAT32,
            training((", dtype=real.dtype", "")),
        ),
        (
            "batches of 64, whatever batch_size says",
            (
                "The size of a batch is fixed in the code. batch_size is an argument: that "
                "many rows, and as much noise."
            ),
            training(("(batch_size,)", "(64,)")),
        ),
    )
)

# --- mode_coverage -------------------------------------------------------------------------------


def counting(
    *lines: str, result: str = "int(near.any(0).sum()), near.any(1).double().mean().item()"
) -> str:
    """mode_coverage with this table `near`, and this result."""
    body = "\n    ".join([*lines, f"return {result}"])
    return f"def mode_coverage(samples, modes, radius):\n    {body}\n"


NEAR = "near = (samples[:, None] - modes).norm(dim=2) <= radius"

MODE_COVERAGE = tuple(
    Mutant("mode_coverage", *mutant)
    for mutant in (
        (
            "eight modes, whatever is handed in",
            "Some modes or samples are left out. All of both count, however many there are.",
            counting("modes = modes[:8]", NEAR),
        ),
        (
            "two coordinates",
            "Only the first two coordinates are looked at. A distance takes all d of them.",
            counting(
                NEAR.replace("samples[:, None] - modes", "(samples[:, None] - modes)[..., :2]")
            ),
        ),
        (
            "float32 inside",
            DETOUR,
            counting("samples, modes = samples.float(), modes.float()", NEAR),
        ),
        (
            "the radius does not count",
            "A sample at exactly the radius is left out. Near means at most the radius: ≤.",
            counting(NEAR.replace("<=", "<")),
        ),
        (
            "distances by a matrix product",
            (
                "This looks like ‖a‖² + ‖b‖² − 2ab. Far from the origin that difference of "
                "large numbers loses all digits: subtract first, then square."
            ),
            counting(
                "square = (samples**2).sum(1)[:, None] + (modes**2).sum(1) - 2 * samples @ modes.T",
                "near = square <= radius**2",
            ),
        ),
        (
            "every sample counts for its nearest mode alone",
            (
                "Every sample counts for its nearest mode alone. It may be near several, and "
                "covers each of them."
            ),
            counting(
                "distance = (samples[:, None] - modes).norm(dim=2)",
                "near = (distance <= radius) & (distance == distance.min(1, keepdim=True).values)",
            ),
        ),
        (
            "near samples counted once for each mode",
            (
                "A sample that is near two modes counts twice. quality is a share of the "
                "samples: each counts once, or not at all."
            ),
            counting(NEAR, result="int(near.any(0).sum()), near.sum().item() / len(samples)"),
        ),
        (
            "quality only of one's own mode's share",
            COUNTS,
            counting(NEAR, result="int(near.any(0).sum()), near.any(0).double().mean().item()"),
        ),
        (
            "samples counted instead of modes",
            COUNTS,
            counting(NEAR, result="int(near.any(1).sum()), near.any(1).double().mean().item()"),
        ),
        (
            "the largest difference",
            EUCLIDEAN,
            counting("near = (samples[:, None] - modes).abs().amax(2) <= radius"),
        ),
        (
            "the sum of differences",
            EUCLIDEAN,
            counting("near = (samples[:, None] - modes).abs().sum(2) <= radius"),
        ),
        (
            "squared distances",
            EUCLIDEAN,
            counting("near = (samples[:, None] - modes).square().sum(2) <= radius"),
        ),
        (
            "tensors come back",
            "Tensors come back. An int and a float are asked for: the numbers in them.",
            counting(NEAR, result="near.any(0).sum(), near.any(1).double().mean()"),
        ),
        (
            "the share of covered modes",
            COUNTS,
            counting(
                NEAR,
                result="near.any(0).double().mean().item(), near.any(1).double().mean().item()",
            ),
        ),
        (
            "a mode needs more than one sample",
            "A mode with one near sample is not counted. One is enough to cover it.",
            counting(
                NEAR, result="int((near.sum(0) > 1).sum()), near.any(1).double().mean().item()"
            ),
        ),
    )
)

# --- ReplayBuffer --------------------------------------------------------------------------------

BUFFER = """class ReplayBuffer:
    def __init__(self, capacity):
        self.capacity = capacity
        self.rows = None

    def __len__(self):
        return 0 if self.rows is None else len(self.rows)

    def push(self, batch):
        batch = batch.detach().clone()
        rows = batch if self.rows is None else torch.cat([self.rows, batch])
        self.rows = rows[-self.capacity :]

    def sample(self, n, generator):
        return self.rows[torch.randint(len(self), (n,), generator=generator)]
"""


def buffer(*changes: tuple[str, str]) -> str:
    """ReplayBuffer with the one occurrence of each old text replaced by the new one."""
    source = BUFFER
    for old, new in changes:
        if source.count(old) != 1:
            raise ValueError(f"{old!r} occurs {source.count(old)} times")
        source = source.replace(old, new)
    return source


DRAW = "self.rows[torch.randint(len(self), (n,), generator=generator)]"

REPLAY_BUFFER = tuple(
    Mutant("ReplayBuffer", *mutant)
    for mutant in (
        (
            "a batch first, then one of its rows",
            "A batch is drawn first, and then one of its rows. So rows of small batches come more "
            "often: draw from all rows.",
            """class ReplayBuffer:
    def __init__(self, capacity):
        self.batches, self.capacity = [], capacity

    def __len__(self):
        return sum(len(batch) for batch in self.batches)

    def push(self, batch):
        self.batches.append(batch.detach().clone())
        while len(self) > self.capacity:
            self.batches[0] = self.batches[0][1:]
            self.batches = [each for each in self.batches if len(each)]

    def sample(self, n, generator):
        pick = lambda upper: torch.randint(upper, (), generator=generator).item()
        batches = [self.batches[pick(len(self.batches))] for _ in range(n)]
        return torch.stack([batch[pick(len(batch))] for batch in batches])
""",
        ),
        (
            "a generator of its own, from the seed of the one handed in",
            "The generator stays where it is, so every sample is the same. Draw with the generator "
            "itself.",
            buffer(
                (
                    "(n,), generator=generator)",
                    "(n,), generator=torch.Generator().manual_seed(generator.initial_seed()))",
                )
            ),
        ),
        (
            "equal rows once",
            "Equal rows are kept once. Each row that was pushed counts, equal ones too.",
            buffer(
                ("torch.cat([self.rows, batch])", "torch.cat([self.rows, batch]).unique(dim=0)")
            ),
        ),
        (
            "the first batch is not copied",
            COPIES,
            buffer(("batch.detach().clone()", "batch.detach()")),
        ),
        (
            "the graph is kept",
            (
                "What sample returns still hangs on the graph in which it was made, and that "
                "graph stays in memory. Cut a batch off when it is pushed."
            ),
            buffer(("batch.detach().clone()", "batch.clone()")),
        ),
        (
            "without replacement where there are enough",
            (
                "This draws without replacement: no row comes twice in a sample. Draw each of"
                " the n from all rows."
            ),
            buffer(
                (
                    f"return {DRAW}",
                    "if n <= len(self):\n"
                    "            order = torch.randperm(len(self), generator=generator)\n"
                    f"            return self.rows[order[:n]]\n        return {DRAW}",
                )
            ),
        ),
        (
            "a view of the rows",
            COPIES,
            buffer(
                (
                    f"return {DRAW}",
                    f"if n == len(self):\n            return self.rows[:n]\n        return {DRAW}",
                )
            ),
        ),
        (
            "no more than there are",
            (
                "Fewer rows come back than were asked for. Drawn with replacement, n may be "
                "more than the buffer holds."
            ),
            buffer(("(n,), g", "(min(n, len(self)),), g")),
        ),
        (
            "the oldest are kept",
            "The oldest rows are kept, and the newest should be: cut off at the front.",
            buffer(("rows[-self.capacity :]", "rows[: self.capacity]")),
        ),
        (
            "capacity in batches",
            "This looks like capacity counted in batches. It counts rows, and so does len().",
            """class ReplayBuffer:
    def __init__(self, capacity):
        self.batches, self.capacity = [], capacity

    def __len__(self):
        return len(self.batches)

    def push(self, batch):
        self.batches = [*self.batches, batch.detach().clone()][-self.capacity :]

    def sample(self, n, generator):
        rows = torch.cat(self.batches)
        return rows[torch.randint(len(rows), (n,), generator=generator)]
""",
        ),
        ("the generator ignored", GLOBAL, buffer((", generator=generator)]", ")]"))),
        (
            "the newest row is never drawn",
            RANDINT,
            buffer(("torch.randint(len(self), (", "torch.randint(max(len(self) - 1, 1), (")),
        ),
        (
            "one buffer for all",
            (
                "All buffers share their rows: they are kept on the class. Make them in "
                "__init__, on self."
            ),
            buffer(
                ("        self.rows = None\n", ""),
                ("    def __init__", "    rows = None\n\n    def __init__"),
                ("self.rows = rows[", "ReplayBuffer.rows = rows["),
            ),
        ),
        (
            "float32 inside",
            FLOAT32,
            buffer(("batch.detach().clone()", "batch.detach().clone().float()")),
        ),
    )
)

# --- minibatch_discrimination --------------------------------------------------------------------


def compare(
    distance: str,
    result: str = "(-distance).exp().sum(1) - 1",
    m: str = "torch.tensordot(features, T, 1)",
) -> str:
    """minibatch_discrimination with this distance [b, b, o] and these columns."""
    return f"""def minibatch_discrimination(features, T):
    m = {m}
    distance = {distance}
    return torch.cat([features, {result}], dim=1)
"""


L1 = "(m[:, None] - m).abs().sum(3)"

MINIBATCH = tuple(
    Mutant("minibatch_discrimination", *mutant)
    for mutant in (
        (
            "no gradient to T",
            GRAPH,
            compare(L1, m="torch.tensordot(features, T.detach(), 1)"),
        ),
        (
            "no gradient through the features that come along",
            GRAPH,
            compare(L1).replace("[features, ", "[features.detach(), "),
        ),
        (
            "distances are cut off at 5",
            "Large distances are cut off. exp(−distance) goes to 0 all by itself.",
            compare(f"{L1}.clamp(max=5)"),
        ),
        (
            "equal rows are left out",
            OTHERS,
            compare(L1, "((-distance).exp() * (distance > 0)).sum(1)"),
        ),
        (
            "no gradient to the other rows",
            (
                "Half of the gradient is missing: a pair's closeness depends on both of its "
                "rows. Detach neither of them."
            ),
            compare("(m[:, None] - m.detach()).abs().sum(3)"),
        ),
        (
            "summed over o instead of r",
            (
                "The distance is summed over o and should be over r: each of the o ways of "
                "comparing gives a column of its own."
            ),
            compare("(m[:, None] - m).abs().sum(2)"),
        ),
        (
            "T laid out as [f, r, o]",
            "T is read as [f, r, o], and it is [f, o, r].",
            compare(
                L1,
                m="torch.tensordot(features, T.flatten(1).unflatten(1, T.shape[:0:-1]), 1).mT",
            ),
        ),
        (
            "each row compared with itself, too",
            OTHERS,
            compare(L1, "(-distance).exp().sum(1)"),
        ),
        (
            "the Euclidean distance",
            L1_SUM,
            compare("((m[:, None] - m).square().sum(3) + 1e-12).sqrt()"),
        ),
        (
            "the squared distance",
            L1_SUM,
            compare("(m[:, None] - m).square().sum(3)"),
        ),
        ("the mean over r", L1_SUM, compare("(m[:, None] - m).abs().mean(3)")),
        (
            "the mean over the others",
            "This is a mean over the other rows. The sum is asked for, up to b − 1.",
            compare(L1, "((-distance).exp().sum(1) - 1) / max(len(features) - 1, 1)"),
        ),
        (
            "distances instead of closeness",
            (
                "These are distances. Closeness is exp(−distance): 1 for equal rows, near 0 "
                "for rows far apart."
            ),
            compare(L1, "distance.sum(1)"),
        ),
        (
            "the added columns first",
            "The added columns come first, and the features should.",
            compare(L1).replace(
                "[features, (-distance).exp().sum(1) - 1]",
                "[(-distance).exp().sum(1) - 1, features]",
            ),
        ),
        (
            "without the features",
            (
                "The features are missing. The result is [b, f + o]: they come first, with "
                "the o columns after them."
            ),
            compare(L1).replace("[features, ", "["),
        ),
        (
            "the closeness is detached",
            GRAPH,
            compare(L1, "((-distance).exp().sum(1) - 1).detach()"),
        ),
        (
            "a detour through float32",
            DETOUR,
            compare(
                "(m[:, None] - m).abs().sum(3).float().to(features.dtype)",
                m="torch.tensordot(features.float(), T.float(), 1).to(features.dtype)",
            ),
        ),
        (
            "a mask in float32",
            FLOAT32,
            compare(
                L1,
                "((-distance).exp() * (1 - torch.eye(len(m)).double())[..., None]).sum(1)",
            ),
        ),
        (
            "fails for one row",
            (
                "A batch of one row gives nan. There is nobody to compare with: a sum over "
                "nobody is 0."
            ),
            compare(
                L1, "((-distance).exp().sum(1) - 1) * (len(features) - 1) / (len(features) - 1)"
            ),
        ),
    )
)

MUTANTS = (
    *DISCRIMINATOR_LOSS,
    *GENERATOR_LOSS,
    *OPTIMAL_DISCRIMINATOR,
    *NETWORKS,
    *DISCRIMINATOR_STEP,
    *GENERATOR_STEP,
    *TRAIN_GAN,
    *MODE_COVERAGE,
    *REPLAY_BUFFER,
    *MINIBATCH,
)
