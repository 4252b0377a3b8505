"""The misconceptions of 06-vae, the subtle ones of each exercise first."""

from __future__ import annotations

from autograder.misconceptions import Mutant, edited
from gradus import vae


def mutants(exercise: str, *rows: tuple[str, str, str]) -> tuple[Mutant, ...]:
    """One for each (name, hint, source)."""
    return tuple(Mutant(exercise, *each) for each in rows)


def replaced(source: str, old: str, new: str) -> str:
    """As `edited`, of a source. Raises ValueError unless `old` occurs exactly once."""
    if source.count(old) != 1:
        raise ValueError(f"{old!r} occurs {source.count(old)} times")
    return source.replace(old, new)


# --- reparameterize ------------------------------------------------------------------------------


def draw(line: str) -> str:
    return f"def reparameterize(mu, logvar, eps):\n    {line}\n"


REPARAMETERIZE = mutants(
    "reparameterize",
    (
        "the gradient to logvar is cut",
        "The values are right, but sigma is taken out of the graph (detach, .data, "
        "no_grad), so the encoder never learns how wide its clouds should be. Compute "
        "sigma from logvar with operations that autograd follows.",
        draw("return mu + torch.exp(logvar / 2).detach() * eps"),
    ),
    (
        "the gradient to mu is cut",
        "The values are right, but mu is taken out of the graph (detach, .data, "
        "no_grad), so the encoder never learns where to put its clouds. Use mu as it "
        "came.",
        draw("return mu.detach() + torch.exp(logvar / 2) * eps"),
    ),
    (
        "the gradient to eps is cut",
        "The values are right, but eps is taken out of the graph. Gradients flow to "
        "every input here, the noise included.",
        draw("return mu + torch.exp(logvar / 2) * eps.detach()"),
    ),
    (
        "logvar is clipped at 10",
        "This looks like a clipped log-variance. It may be anything within ±20: clip nothing.",
        draw("return mu + torch.exp(logvar.clamp(-10, 10) / 2) * eps"),
    ),
    (
        "a small number is added to sigma",
        "This looks like a small number added to sigma, against a division by zero. "
        "There is no division here, and exp is never 0: add nothing.",
        draw("return mu + (torch.exp(logvar / 2) + 1e-3) * eps"),
    ),
    (
        "sigma = exp(logvar)",
        "This looks like sigma = exp(logvar), which is the variance. logvar is the "
        "logarithm of the variance, so sigma is exp(logvar / 2).",
        draw("return mu + torch.exp(logvar) * eps"),
    ),
    (
        "sigma = logvar",
        "This looks like logvar taken for sigma itself. It is the logarithm of the "
        "variance: sigma is exp(logvar / 2).",
        draw("return mu + logvar * eps"),
    ),
    (
        "sigma = exp(2 logvar)",
        "This looks like sigma = exp(2·logvar). A square root halves a logarithm: sigma"
        " is exp(logvar / 2).",
        draw("return mu + torch.exp(2 * logvar) * eps"),
    ),
    (
        "sigma² = softplus(logvar)",
        "This looks like softplus, another way to a positive width. Here the network's "
        "output is the logarithm of the variance: what undoes a logarithm?",
        draw("return mu + nn.functional.softplus(logvar).sqrt() * eps"),
    ),
    (
        "mu is changed in place",
        "mu is another tensor after the call than before. It belongs to the caller: "
        "make new tensors, and leave out operations that end in _ and assignments such "
        "as +=.",
        "def reparameterize(mu, logvar, eps):\n"
        "    with torch.no_grad():\n        kept = mu.clone(); mu += 1\n"
        "    return mu - 1 + torch.exp(logvar / 2) * eps\n",
    ),
    (
        "noise of its own",
        "This looks like noise that the function draws by itself. All the randomness is"
        " in eps, which is given: use it, and draw nothing.",
        draw("return mu + torch.exp(logvar / 2) * torch.randn_like(mu)"),
    ),
    (
        "noise of its own is drawn and left",
        "The result is right, but the function also draws from torch's global "
        "generator. Draw nothing here: all the randomness is in eps.",
        draw("torch.randn(1); return mu + torch.exp(logvar / 2) * eps"),
    ),
    (
        "view",
        "This fails for inputs that are not contiguous in memory, as slices are: view "
        "can't reshape them. Use reshape, or no reshaping at all.",
        draw("return mu + torch.exp(logvar.view(-1).view(logvar.shape) / 2) * eps"),
    ),
    (
        "the noise is subtracted",
        "This looks like mu − sigma·eps. It has the right distribution, but the wrong "
        "sign for this eps: the noise is added.",
        draw("return mu - torch.exp(logvar / 2) * eps"),
    ),
)


# --- gaussian_kl ---------------------------------------------------------------------------------


def kl(line: str) -> str:
    return f"def gaussian_kl(mu, logvar):\n    {line}\n"


EACH = "(mu**2 + logvar.exp() - 1 - logvar)"
GAUSSIAN_KL = mutants(
    "gaussian_kl",
    (
        "the gradient of the variance is cut",
        "The values are right, but the variance is taken out of the graph, so logvar is"
        " pulled the wrong way for ever. Leave every term in the graph.",
        kl("return (mu**2 + logvar.exp().detach() - 1 - logvar).sum(1) / 2"),
    ),
    (
        "the gradient of mu is cut",
        "The values are right, but mu is taken out of the graph, so no cloud is pulled "
        "to the centre. Leave every term in the graph.",
        kl("return (mu.detach()**2 + logvar.exp() - 1 - logvar).sum(1) / 2"),
    ),
    (
        "the gradient passes only half of mu",
        "The values are right, but one of the two factors in mu² is detached, so the "
        "gradient to mu is half of what it should be. Square mu itself.",
        kl("return (mu * mu.detach() + logvar.exp() - 1 - logvar).sum(1) / 2"),
    ),
    (
        "logvar is clipped at 10",
        "This looks like a clipped log-variance. It may be anything within ±20, and the"
        " price of such a width is what the formula says: clip nothing.",
        kl("l = logvar.clamp(-10, 10); return (mu**2 + l.exp() - 1 - l).sum(1) / 2"),
    ),
    (
        "clipped at zero and a little more",
        "A small number is added to the divergence. It is exactly 0 where the cloud is "
        "the prior, and needs no help to stay finite.",
        kl(f"return ({EACH} / 2 + 1e-4).sum(1)"),
    ),
    (
        "without the half",
        "This is twice the divergence: the ½ before the sum is missing.",
        kl(f"return {EACH}.sum(1)"),
    ),
    (
        "the mean over z",
        "This looks like a mean over the latent units. The divergence is their sum, in "
        "nats an image: a mean makes it count z times less beside the nll.",
        kl(f"return {EACH}.mean(1) / 2"),
    ),
    (
        "the sum over the batch",
        "This looks like a sum over the batch, axis 0. Sum over the latent units, axis "
        "1: one number for each row.",
        kl(f"return {EACH}.sum(0) / 2"),
    ),
    (
        "the mean over the batch",
        "This looks like a mean over the batch. Here one number for each row is asked "
        "for; negative_elbo takes the mean later.",
        kl(f"return {EACH}.sum(1).mean() / 2"),
    ),
    (
        "the last two dimensions are squeezed",
        "A batch of one lost its axis: squeeze drops every axis of size 1. The result "
        "has the shape [b] for b = 1, too.",
        kl(f"return ({EACH}.sum(1) / 2).squeeze()"),
    ),
    (
        "sigma for sigma²",
        "This looks like exp(logvar / 2), sigma, where the formula has the variance. "
        "The variance is exp(logvar).",
        kl("return (mu**2 + (logvar / 2).exp() - 1 - logvar).sum(1) / 2"),
    ),
    (
        "the sign of logvar",
        "This looks like + logvar in the sum. It is − logvar: a cloud that is narrower "
        "than the prior costs more, not less.",
        kl("return (mu**2 + logvar.exp() - 1 + logvar).sum(1) / 2"),
    ),
    (
        "the other direction",
        "This looks like the divergence from the prior to the cloud, KL(p‖q). Asked for"
        " is KL(q‖p), the mean of log q − log p under the cloud q.",
        kl("return ((mu**2 + 1) / logvar.exp() - 1 + logvar).sum(1) / 2"),
    ),
    (
        "mu is not squared",
        "This looks like |mu|, not mu². To be off centre costs ½mu² in each unit.",
        kl("return (mu.abs() + logvar.exp() - 1 - logvar).sum(1) / 2"),
    ),
    (
        "negative",
        "This is the divergence with its sign turned round: a divergence is never negative.",
        kl(f"return -{EACH}.sum(1) / 2"),
    ),
    (
        "mu is squared in place",
        "An argument is another tensor after the call than before. It belongs to the "
        "caller: leave out operations that end in _.",
        "def gaussian_kl(mu, logvar):\n"
        "    with torch.no_grad():\n        logvar.add_(1)\n"
        "    return (mu**2 + (logvar - 1).exp() - logvar).sum(1) / 2\n",
    ),
    (
        "view",
        "This fails for inputs that are not contiguous in memory, as slices are: view "
        "can't reshape them. Use reshape, or no reshaping at all.",
        kl("m = mu.view(-1).view(mu.shape); return (m**2 + logvar.exp() - 1 - logvar).sum(1) / 2"),
    ),
)


# --- bernoulli_nll, gaussian_nll -----------------------------------------------------------------

BERNOULLI = """def bernoulli_nll(logits, target):
    each = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return each.reshape(len(each), -1).sum(dim=1)
"""
GAUSSIAN = """def gaussian_nll(mean, target, sigma=1.0):
    sigma = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device)
    each = ((target - mean) / sigma) ** 2 / 2 + sigma.log() + math.log(2 * math.pi) / 2
    return each.reshape(len(each), -1).sum(dim=1)
"""
CROSS_ENTROPY = 'nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")'
ERROR = "((target - mean) / sigma) ** 2 / 2"


def of_bernoulli(old: str, new: str) -> str:
    return replaced(BERNOULLI, old, new) + GAUSSIAN


def of_gaussian(old: str, new: str) -> str:
    return BERNOULLI + replaced(GAUSSIAN, old, new)


BERNOULLI_NLL = mutants(
    "bernoulli_nll",
    (
        "a small number is added to sigma",
        "This looks like a small number added to sigma, against a division by zero. sigma is never "
        "0, and may itself be small: add nothing.",
        of_gaussian("device=mean.device)\n", "device=mean.device) + 1e-6\n"),
    ),
    (
        "probabilities, clipped against log 0",
        "This looks like probabilities that are clipped before the logarithm. It is "
        "finite, but another loss: a wrong pixel never costs more than 16 nats, and its"
        " gradient vanishes. Compute the logarithm of the sigmoid from the logit, in "
        "one piece.",
        of_bernoulli(
            CROSS_ENTROPY,
            "nn.functional.binary_cross_entropy("
            "logits.sigmoid().clamp(1e-7, 1 - 1e-7), target, reduction='none')",
        ),
    ),
    (
        "log of a sigmoid",
        "A sigmoid of −200 is 0, and log 0 is −∞. Take a function that computes the "
        "logarithm of a sigmoid in one piece: logsigmoid, softplus, or the cross-"
        "entropy with logits.",
        of_bernoulli(
            CROSS_ENTROPY,
            "-target * logits.sigmoid().log() - (1 - target) * (1 - logits.sigmoid()).log()",
        ),
    ),
    (
        "log(1 + exp(logit))",
        "exp overflows for large logits, in float32 from 89 on. log(1 + exp(a)) has a "
        "function that doesn't: softplus.",
        of_bernoulli(CROSS_ENTROPY, "(1 + logits.exp()).log() - target * logits"),
    ),
    (
        "logits are clipped at 30",
        "This looks like clipped logits. Beyond the clip a wrong pixel costs no more, "
        "and gets no gradient: clip nothing.",
        of_bernoulli("logits, target, reduction", "logits.clamp(-30, 30), target, reduction"),
    ),
    (
        "no gradient to the target",
        "The values are right, but no gradient reaches the target. Gradients flow to "
        "every floating-point input.",
        of_bernoulli("logits, target, reduction", "logits, target.detach(), reduction"),
    ),
    (
        "targets are made black or white",
        "This looks like targets that are rounded to 0 or 1. A grey target of 0.3 "
        "counts as 30 % white: use it as it is.",
        of_bernoulli(
            "logits, target, reduction", "logits, (target > 0.5).to(logits.dtype), reduction"
        ),
    ),
    (
        "probabilities where logits are given",
        "This looks like a sigmoid applied twice: once by hand, and once in a loss that"
        " takes logits. Hand over the logits.",
        of_bernoulli("logits, target, reduction", "logits.sigmoid(), target, reduction"),
    ),
    (
        "the mean over the pixels",
        "This looks like a mean over the pixels. The cost of an image is the sum over "
        "them: a mean makes the KL count d times as much beside it.",
        of_bernoulli(".sum(dim=1)", ".mean(dim=1)"),
    ),
    (
        "only the last axis is summed",
        "This looks like a sum over the last axis alone. An image may be [c, h, w]: sum"
        " over everything but the batch.",
        of_bernoulli("each.reshape(len(each), -1).sum(dim=1)", "each.sum(dim=-1)"),
    ),
    (
        "flatten(1) needs an axis besides the batch",
        "flatten(1) fails for [b], where nothing follows the batch. The docstring asks "
        "for that case, too: one pixel a row.",
        of_bernoulli("each.reshape(len(each), -1)", "each.flatten(1)"),
    ),
    (
        "the batch is summed, too",
        "This looks like a sum over everything. One number for each image is asked for:"
        " leave the first axis.",
        of_bernoulli(".sum(dim=1)", ".sum()"),
    ),
    (
        "view",
        "This fails for inputs that are not contiguous in memory, as slices are: view "
        "can't reshape them. Use reshape.",
        of_bernoulli(
            "logits, target, reduction", "logits.view(-1).view(logits.shape), target, reduction"
        ),
    ),
    (
        "no gradient to sigma",
        "The values are right, but no gradient reaches sigma. It may be a tensor that "
        "is trained: keep it in the graph, as torch.as_tensor does.",
        of_gaussian(
            "sigma = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device)",
            "sigma = torch.as_tensor(sigma, dtype=mean.dtype, device=mean.device).detach()",
        ),
    ),
    (
        "sigma is taken for the variance",
        "This looks like sigma taken for the variance. sigma is the standard deviation:"
        " the error is divided by sigma², and the logarithm is that of sigma.",
        of_gaussian(
            "((target - mean) / sigma) ** 2 / 2 + sigma.log()",
            "(target - mean) ** 2 / sigma / 2 + sigma.log() / 2",
        ),
    ),
    (
        "without the constant",
        "This lacks the constant ½ log 2π of each pixel. Without it exp(−nll) is no "
        "density: it does not integrate to one.",
        of_gaussian(" + math.log(2 * math.pi) / 2", ""),
    ),
    (
        "without log sigma",
        "This lacks log sigma. A wide density is a low one: without that term the best "
        "sigma would be infinite.",
        of_gaussian(" + sigma.log()", ""),
    ),
    (
        "the constant counts once an image",
        "½ log 2π seems to count once an image. Each pixel has its own: add it before the sum.",
        of_gaussian(
            " + math.log(2 * math.pi) / 2\n    return each.reshape(len(each), -1).sum(dim=1)",
            "\n    return each.reshape(len(each), -1).sum(dim=1) + math.log(2 * math.pi) / 2",
        ),
    ),
    (
        "log sigma counts once an image",
        "log sigma seems to count once an image. Each pixel has its own: let it "
        "broadcast before the sum.",
        of_gaussian(
            " + sigma.log() + math.log(2 * math.pi) / 2\n"
            "    return each.reshape(len(each), -1).sum(dim=1)",
            " + math.log(2 * math.pi) / 2\n"
            "    return each.reshape(len(each), -1).sum(dim=1) + sigma.log().mean()",
        ),
    ),
    (
        "sigma must be a number",
        "This fails where sigma is a tensor: math.log takes numbers alone. Make a "
        "tensor of a number, and use torch's functions.",
        of_gaussian("sigma.log()", "math.log(sigma)"),
    ),
    (
        "the squared error",
        "This looks like the plain squared error. A Gaussian divides it by 2·sigma², "
        "and adds log sigma and a constant.",
        of_gaussian(ERROR, "(target - mean) ** 2"),
    ),
    (
        "float32 inside",
        "The result is right to seven digits only, or in the wrong dtype: somewhere the"
        " way leads through float32. Follow the dtype of the inputs.",
        of_gaussian("((target - mean) / sigma)", "((target - mean).float() / sigma)"),
    ),
)


# --- negative_elbo -------------------------------------------------------------------------------


def loss(line: str) -> str:
    return f"def negative_elbo(nll, kl, beta=1.0):\n    {line}\n"


NEGATIVE_ELBO = mutants(
    "negative_elbo",
    (
        "the gradient of kl is cut",
        "The values are right, but kl is taken out of the graph, so nothing keeps the "
        "clouds near the prior. Leave both parts in the graph.",
        loss("return (nll + beta * kl.detach()).mean()"),
    ),
    (
        "the gradient of nll is cut",
        "The values are right, but nll is taken out of the graph, so nothing learns to "
        "draw. Leave both parts in the graph.",
        loss("return (nll.detach() + beta * kl).mean()"),
    ),
    (
        "a Python float",
        "This is a Python number (.item()): it has no graph, so nothing can be trained "
        "with it. Return the tensor.",
        loss("return (nll + beta * kl).mean().item()"),
    ),
    (
        "a shape of [1]",
        "This is a tensor of shape [1]. A scalar has no axes: what .mean() gives.",
        loss("return (nll + beta * kl).mean(dim=0, keepdim=True)"),
    ),
    (
        "float32",
        "float64 went in and float32 came out. Follow the dtype of the inputs.",
        loss("return torch.tensor(0.0) + (nll.float() + beta * kl.float()).mean()"),
    ),
    (
        "the sum over the batch",
        "This looks like the sum over the batch. The mean is asked for, so that the "
        "loss does not grow with the batch.",
        loss("return (nll + beta * kl).sum()"),
    ),
    (
        "beta weighs both",
        "This looks like beta times the whole loss. beta weighs kl alone.",
        loss("return beta * (nll + kl).mean()"),
    ),
    (
        "beta weighs nll",
        "This looks like beta times nll. beta weighs kl.",
        loss("return (beta * nll + kl).mean()"),
    ),
    (
        "beta twice",
        "beta seems to count twice: the loss is linear in beta.",
        loss("return (nll + beta * beta * kl).mean()"),
    ),
    (
        "kl is subtracted",
        "This looks like nll − beta·kl. Both are costs, and the loss is their sum: the "
        "bound that is subtracted from is the ELBO, not its negative.",
        loss("return (nll - beta * kl).mean()"),
    ),
    (
        "beta is left out",
        "beta makes no difference here. It weighs kl.",
        loss("return (nll + kl).mean()"),
    ),
    (
        "per example",
        "This is one number for each row. The loss is their mean, a scalar.",
        loss("return nll + beta * kl"),
    ),
    (
        "beta below one is one",
        "A beta below one acts like 1 here. Any weight is allowed, 0 too.",
        loss("return (nll + max(beta, 1.0) * kl).mean()"),
    ),
    (
        "nll is changed in place",
        "An argument is another tensor after the call than before. It belongs to the "
        "caller: leave out operations that end in _ and assignments such as +=.",
        "def negative_elbo(nll, kl, beta=1.0):\n    with torch.no_grad():\n        nll += 1\n"
        "    return (nll - 1 + beta * kl).mean()\n",
    ),
)


# --- VAE -----------------------------------------------------------------------------------------


def model(old: str, new: str) -> str:
    return edited(vae.VAE, old, new)


VAE = mutants(
    "VAE",
    (
        "nothing between the layers",
        "Nothing bends between the layers, and two linear layers in a row are one. Put a ReLU, or "
        "another function that is not linear, after the hidden layer of each side.",
        model(
            "nn.Linear(latent_dim, hidden_dim), nn.ReLU(),", "nn.Linear(latent_dim, hidden_dim),"
        ),
    ),
    (
        "logvar is clipped at 10",
        "logvar seems to be clipped. The last layer stays linear: it may be any number.",
        model("return mu, logvar\n\n", "return mu, logvar.clamp(-10, 10)\n\n"),
    ),
    (
        "hidden_dim is ignored",
        "Another hidden_dim makes no difference: the size of the hidden layers seems to be fixed.",
        model("        self.latent_dim =", "        hidden_dim = 32\n        self.latent_dim ="),
    ),
    (
        "larger models have no noise",
        "forward leaves the noise out in some models. It is encode, reparameterize and decode, "
        "whatever the sizes.",
        model("z = mu if eps is None else", "z = mu if eps is None or mu.shape[1] > 5 else"),
    ),
    (
        "z is detached before it is decoded",
        "forward gives the right values, but z is detached before it is decoded, so the"
        " encoder never learns what the decoder needs. Decode z itself.",
        model("return self.decode(z), mu, logvar", "return self.decode(z.detach()), mu, logvar"),
    ),
    (
        "logvar is detached in forward",
        "forward gives the right values, but logvar is detached on the way to z, so the"
        " width of the clouds is not trained by the images. Pass it as it is.",
        model(
            "z = mu if eps is None else reparameterize(mu, logvar, eps)",
            "z = mu if eps is None else reparameterize(mu, logvar.detach(), eps)",
        ),
    ),
    (
        "noise of its own where none is given",
        "This looks like noise drawn where eps is None. Without eps there is no noise: z is mu.",
        model(
            "z = mu if eps is None else",
            "eps = torch.randn_like(mu) if eps is None else eps\n        z =",
        ),
    ),
    (
        "noise in training mode only",
        "This looks like noise drawn in training mode where eps is None. Without eps "
        "there is no noise, in either mode: z is mu.",
        model(
            "z = mu if eps is None else",
            "if eps is None:\n            eps = torch.randn_like(mu) if self.training else mu * 0\n"
            "        z =",
        ),
    ),
    (
        "no noise in evaluation mode",
        "This looks like noise that is left out in evaluation mode. Where eps is given "
        "it is used, in either mode.",
        model("z = mu if eps is None else", "z = mu if eps is None or not self.training else"),
    ),
    (
        "dropout",
        "Two calls with the same input give different results in training mode, as with"
        " dropout. The noise eps is the only one.",
        model(
            "nn.ReLU(), nn.Linear(hidden_dim, input_dim)",
            "nn.Dropout(0.3), nn.ReLU(), nn.Linear(hidden_dim, input_dim)",
        ),
    ),
    (
        "batch normalisation",
        "A row gives something else in another batch, as with batch normalisation. Rows"
        " don't know of each other here.",
        model(
            "nn.ReLU(), nn.Linear(hidden_dim, 2 * latent_dim)",
            "nn.BatchNorm1d(hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, 2 * latent_dim)",
        ),
    ),
    (
        "probabilities instead of logits",
        "decode seems to end in a sigmoid. It gives logits, any number: bernoulli_nll "
        "and sample apply the sigmoid themselves.",
        model(
            "nn.Linear(hidden_dim, input_dim)\n", "nn.Linear(hidden_dim, input_dim), nn.Sigmoid()\n"
        ),
    ),
    (
        "tanh on the codes",
        "mu and logvar seem to end in a tanh, and stay within ±1. The last layer stays "
        "linear, so that it can be any number.",
        model(
            "nn.Linear(hidden_dim, 2 * latent_dim)\n",
            "nn.Linear(hidden_dim, 2 * latent_dim), nn.Tanh()\n",
        ),
    ),
    (
        "ReLU on the codes",
        "mu and logvar seem to end in a ReLU, and are never negative. The last layer "
        "stays linear, so that it can be any number.",
        model(
            "nn.Linear(hidden_dim, 2 * latent_dim)\n",
            "nn.Linear(hidden_dim, 2 * latent_dim), nn.ReLU()\n",
        ),
    ),
    (
        "logvar is softplus of the head",
        "logvar seems to end in a softplus, and is never negative: then no cloud is "
        "narrower than the prior. A log-variance may be any number.",
        model("return mu, logvar\n\n", "return mu, nn.functional.softplus(logvar)\n\n"),
    ),
    (
        "mu and logvar are one head",
        "mu and logvar are the same numbers. They are two outputs of the encoder: z "
        "numbers for each.",
        model(
            "mu, logvar = self.encoder(x).chunk(2, dim=1)\n",
            "mu = logvar = self.encoder(x).chunk(2, dim=1)[0]\n",
        ),
    ),
    (
        "a layer that is never used",
        "Some layer is made in __init__ and never used: no gradient reaches its "
        "parameters. Use it, or leave it out.",
        model(
            "self.latent_dim = latent_dim\n",
            "self.latent_dim = latent_dim\n        self.spare = nn.Linear(2, 2)\n",
        ),
    ),
    (
        "latent_dim is not kept",
        "The model does not keep latent_dim, and whoever samples from it asks for that."
        " Store it in self.",
        model("self.latent_dim = latent_dim", "self.size = latent_dim"),
    ),
    (
        "sigma = exp(logvar) in forward",
        "forward seems to use exp(logvar) for sigma. logvar is the logarithm of the "
        "variance, so sigma is exp(logvar / 2): call reparameterize.",
        model("reparameterize(mu, logvar, eps)", "mu + logvar.exp() * eps"),
    ),
    (
        "logvar comes first",
        "forward gives logvar before mu. The order is (logits, mu, logvar).",
        model("return self.decode(z), mu, logvar", "return self.decode(z), logvar, mu"),
    ),
    (
        "the noise is float32",
        "After .double() something is still float32. Follow the dtype of the input: "
        "leave out .float(), and tensors that are made without a dtype.",
        model("reparameterize(mu, logvar, eps)", "reparameterize(mu, logvar, eps).float()"),
    ),
    (
        "no bias and no hidden variable of logvar",
        "logvar is the same for every x. It is an output of the encoder, as mu is.",
        model("return mu, logvar\n\n", "return mu, logvar.detach() * 0 + 1\n\n"),
    ),
    (
        "the decoder looks at the last x",
        "decode(z) changes with the image that was encoded before it. It depends on z "
        "alone: keep nothing of x in self.",
        replaced(
            model("logits: torch.Tensor = self.decoder(z)", "logits = self.decoder(z) + self.last"),
            "self.latent_dim = latent_dim\n",
            "self.latent_dim = latent_dim\n        self.last = 0.0\n",
        ).replace(
            "mu, logvar = self.encoder(x)",
            "self.last = x.mean().detach()\n        mu, logvar = self.encoder(x)",
        ),
    ),
)


# --- train_vae -----------------------------------------------------------------------------------

TRAIN = """def train_vae(model, data, steps, batch_size, lr, beta, generator):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for step in range(steps):
        x = data[torch.randint(len(data), (batch_size,), generator=generator)]
        eps = torch.randn(batch_size, model.latent_dim, generator=generator)
        logits, mu, logvar = model(x, eps)
        loss = negative_elbo(bernoulli_nll(logits, x), gaussian_kl(mu, logvar), beta)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses
"""
ROWS = "data[torch.randint(len(data), (batch_size,), generator=generator)]"
NOISE = "torch.randn(batch_size, model.latent_dim, generator=generator)"


def training(old: str, new: str) -> str:
    return replaced(TRAIN, old, new)


TRAIN_VAE = mutants(
    "train_vae",
    (
        "gradients are zeroed in every second step",
        "This looks like gradients that are zeroed in some steps only: in the others backward adds "
        "to those of the step before. Zero them in every step.",
        training(
            "        optimizer.zero_grad()\n",
            "        if step % 2 == 0: optimizer.zero_grad()\n",
        ),
    ),
    (
        "the running mean of the losses",
        "This looks like the mean of all losses so far. Each step has a loss of its own.",
        training("return losses", "return [sum(losses[: i + 1]) / (i + 1) for i in range(steps)]"),
    ),
    (
        "the noise is a little too narrow",
        "The noise is too narrow: its variance is below 1. It is from N(0, 1), as it is.",
        training("model(x, eps)", "model(x, 0.9 * eps)"),
    ),
    (
        "uniform noise with the right variance",
        "Mean and variance of the noise are right, but it has no tails, as with uniform noise. It "
        "is from N(0, 1).",
        training(
            NOISE,
            "(torch.rand(batch_size, model.latent_dim, generator=generator) - 0.5) * 12**0.5",
        ),
    ),
    (
        "a learning rate of 0.001 at the most",
        "Above some lr a larger one makes no difference. Pass lr to the optimiser as it is.",
        training("lr=lr", "lr=min(lr, 1e-3)"),
    ),
    (
        "windows of neighbours",
        "This looks like batches of neighbouring rows from a random place on. Data are often "
        "sorted, and then each batch holds one class alone: draw every row at random.",
        training(
            ROWS,
            "data.roll(-int(torch.randint(len(data), (), generator=generator)), 0)[:batch_size]",
        ),
    ),
    (
        "shuffled once",
        "This looks like one shuffle before the loop, and the same batches again and again. Draw "
        "new rows in every step.",
        replaced(
            training(
                ROWS, "data[order[(torch.arange(batch_size) + step * batch_size) % len(data)]]"
            ),
            "losses = []",
            "losses, order = [], torch.randperm(len(data), generator=generator)",
        ),
    ),
    (
        "the best of five trainings",
        "This looks like several trainings, of which one is kept. Train once, for as many steps as "
        "are asked for.",
        TRAIN.replace("train_vae(", "once(")
        + """

def train_vae(model, data, steps, batch_size, lr, beta, generator):
    import copy

    start, runs = copy.deepcopy(model.state_dict()), []
    for _ in range(5):
        model.load_state_dict(start)
        losses = once(model, data, steps, batch_size, lr, beta, generator)
        runs.append((losses[-1], losses, copy.deepcopy(model.state_dict())))
    _, losses, state = min(runs, key=lambda run: run[0])
    model.load_state_dict(state)
    return losses
""",
    ),
    (
        "frozen afterwards",
        "A second training of the same model fails, or moves nothing: its parameters no longer ask "
        "for gradients. Leave requires_grad as it was.",
        training("    return losses", "    model.requires_grad_(False)\n    return losses"),
    ),
    (
        "one batch for all steps",
        "This looks like one batch, drawn before the loop and used in all steps. Draw "
        "new rows in every step.",
        replaced(training(ROWS, "batch"), "losses = []", f"losses, batch = [], {ROWS}"),
    ),
    (
        "the first rows in every step",
        "This looks like the same first rows in every step. Draw the rows at random, "
        "from all of the data.",
        training(ROWS, "data[:batch_size]"),
    ),
    (
        "rows in their order",
        "This looks like rows taken in their order. Data are often sorted, and then "
        "each batch holds one class alone: draw the rows at random.",
        training(ROWS, "data[(torch.arange(batch_size) + step * batch_size) % len(data)]"),
    ),
    (
        "only the first half of the rows",
        "Some rows are never drawn. Draw from all of the data: row numbers from 0 up to len(data).",
        training("randint(len(data),", "randint((len(data) + 1) // 2,"),
    ),
    (
        "the last row is never drawn",
        "The last row is never drawn. randint leaves its upper end out by itself: don't"
        " subtract one.",
        training("randint(len(data),", "randint(len(data) - 1,"),
    ),
    (
        "one noise for all steps",
        "This looks like noise that is drawn once, before the loop. Draw new noise in every step.",
        replaced(training(NOISE, "noise"), "losses = []", f"losses, noise = [], {NOISE}"),
    ),
    (
        "one noise for all rows",
        "This looks like one row of noise that all rows of a batch share. Its shape is "
        "[batch_size, latent_dim].",
        training(
            NOISE, "torch.randn(1, model.latent_dim, generator=generator).expand(batch_size, -1)"
        ),
    ),
    (
        "noise from rand",
        "This looks like torch.rand, which is uniform on [0, 1). The noise is from N(0,"
        " 1): torch.randn.",
        training(NOISE, "torch.rand(batch_size, model.latent_dim, generator=generator)"),
    ),
    (
        "no noise",
        "This looks like training without noise, as a plain autoencoder: the model got "
        "no eps. Draw it, and pass it on.",
        training("model(x, eps)", "model(x)"),
    ),
    (
        "rows from the global generator",
        "The rows come from torch's global generator, so the same call gives another "
        "result tomorrow. Pass generator=generator to what draws them.",
        training("(batch_size,), generator=generator", "(batch_size,)"),
    ),
    (
        "noise from the global generator",
        "The noise comes from torch's global generator, so the same call gives another "
        "result tomorrow. Pass generator=generator to what draws it.",
        training("model.latent_dim, generator=generator", "model.latent_dim"),
    ),
    (
        "a generator of its own",
        "Another generator gives the same result: this looks like one that is made, or "
        "seeded, in the function. Use the one that was passed in.",
        training("    losses = []", "    losses, generator = [], torch.Generator().manual_seed(0)"),
    ),
    (
        "gradients are never zeroed",
        "This looks like gradients that are never zeroed: backward adds to those of the"
        " steps before. Zero them in every step, before backward.",
        training("        optimizer.zero_grad()\n", ""),
    ),
    (
        "gradients are zeroed after the first step only",
        "Gradients that were there before the training count in its first step. Zero "
        "them before every backward, the first too.",
        training("        optimizer.zero_grad()\n", "        if step: optimizer.zero_grad()\n"),
    ),
    (
        "gradients are zeroed between backward and step",
        "Nothing moves, as if the gradients were zeroed between backward and step. The "
        "order is zero, backward, step.",
        training(
            "        optimizer.zero_grad()\n        loss.backward()\n",
            "        loss.backward()\n        optimizer.zero_grad()\n",
        ),
    ),
    (
        "beta is left out",
        "beta makes no difference to the loss. Pass it on to negative_elbo.",
        training(", beta)\n", ")\n"),
    ),
    (
        "the mean over the latent units",
        "The KL counts too little, as if it were a mean over the latent units. It is a "
        "sum over them, in nats an image.",
        training("gaussian_kl(mu, logvar)", "gaussian_kl(mu, logvar) / model.latent_dim"),
    ),
    (
        "the mean over the pixels",
        "The nll counts too little, as if it were a mean over the pixels: then a code "
        "is too dear, and the posterior collapses. It is a sum over them, in nats an "
        "image.",
        training("bernoulli_nll(logits, x)", "bernoulli_nll(logits, x) / x.shape[1]"),
    ),
    (
        "the squared error",
        "This looks like the squared error of the probabilities. The loss of Bernoulli "
        "pixels is bernoulli_nll of the logits.",
        training("bernoulli_nll(logits, x)", "(logits.sigmoid() - x).square().sum(1)"),
    ),
    (
        "the decoder alone is trained",
        "Only the decoder moves. The optimiser needs the parameters of the whole model.",
        training("model.parameters()", "model.decoder.parameters()"),
    ),
    (
        "lr is left out",
        "lr makes no difference, or too little. Pass it on to the optimiser.",
        training(", lr=lr", ""),
    ),
    (
        "losses are tensors",
        "The losses are tensors, and each keeps its graph in memory. A list of Python "
        "floats is asked for.",
        training("loss.item()", "loss.detach()"),
    ),
    (
        "the loss after the step",
        "This looks like the loss after the step. The loss before it is asked for: the "
        "one that you called backward on.",
        training(
            "losses.append(loss.item())",
            "logits, mu, logvar = model(x, eps)\n"
            "        nll, kl = bernoulli_nll(logits, x), gaussian_kl(mu, logvar)\n"
            "        losses.append(negative_elbo(nll, kl, beta).item())",
        ),
    ),
    (
        "the sum over the batch is reported",
        "This looks like the loss times the batch size. The batch mean is asked for, as"
        " negative_elbo gives it.",
        training("loss.item()", "loss.item() * batch_size"),
    ),
    (
        "one loss too few",
        "A loss is missing. There is one for each step, the first included.",
        training("return losses", "return losses[1:]"),
    ),
    (
        "a copy is trained",
        "The model that was passed in does not move: a copy is trained. Train the model"
        " itself, in place.",
        training(
            "    losses = []",
            "    import copy\n    model, losses = copy.deepcopy(model), []\n"
            "    optimizer = torch.optim.Adam(model.parameters(), lr=lr)",
        ),
    ),
    (
        "the data are scaled in place",
        "The data are not the same after the training. They belong to the caller: leave"
        " out operations that end in _.",
        training("    losses = []", "    losses = []\n    data.mul_(0.999)"),
    ),
)


# --- sample --------------------------------------------------------------------------------------


def drawing(z: str, result: str = "model.decode(z).sigmoid()") -> str:
    return f"def sample(model, n, generator):\n    z = {z}\n    return {result}\n"


Z = "torch.randn(n, model.latent_dim, generator=generator)"
SAMPLE = mutants(
    "sample",
    (
        "each code and its opposite",
        "This looks like codes in pairs, z and −z. Each sample has a draw of its own, and none "
        "depends on another.",
        drawing(
            "torch.randn((n + 1) // 2, model.latent_dim, generator=generator)"
            ".repeat(2, 1)[:n] * (1 - 2 * (torch.arange(n) >= (n + 1) // 2).float())[:, None]"
        ),
    ),
    (
        "few samples come from the middle",
        "A few samples have other codes than many have: too narrow. Whatever n is, the codes come "
        "from N(0, I).",
        drawing(f"{Z} * (1 if n > 300 else 0.5)"),
    ),
    (
        "a little too narrow",
        "The codes are too narrow: their variance is below 1, as with a temperature. "
        "Draw from N(0, I) as it is.",
        drawing(f"0.8 * {Z}"),
    ),
    (
        "from the global generator",
        "The codes come from torch's global generator, so the same call gives another "
        "result tomorrow. Pass generator=generator to what draws them.",
        drawing("torch.randn(n, model.latent_dim)"),
    ),
    (
        "a generator of its own",
        "Another generator gives the same samples: this looks like one that is made, or"
        " seeded, in the function. Use the one that was passed in.",
        drawing("torch.randn(n, model.latent_dim, generator=torch.Generator().manual_seed(0))"),
    ),
    (
        "the global generator is seeded",
        "The samples are right, but torch's global generator is seeded on the way. "
        "Leave it alone: the generator that was passed in is enough.",
        drawing(f"(torch.manual_seed(0), {Z})[1]"),
    ),
    (
        "uniform",
        "This looks like torch.rand, which is uniform on [0, 1). The prior is N(0, I): "
        "torch.randn.",
        drawing("torch.rand(n, model.latent_dim, generator=generator)"),
    ),
    (
        "uniform with the right mean and variance",
        "Mean and variance of the codes are right, but they have no tails, as with "
        "uniform noise. The prior is N(0, I).",
        drawing("(torch.rand(n, model.latent_dim, generator=generator) - 0.5) * 12**0.5"),
    ),
    (
        "the units share their noise",
        "The latent units of a sample share one number. Each has a draw of its own: the"
        " shape is [n, latent_dim].",
        drawing("torch.randn(n, 1, generator=generator).expand(n, model.latent_dim)"),
    ),
    (
        "the samples share their code",
        "All samples share one code. Each has a draw of its own: the shape is [n, latent_dim].",
        drawing("torch.randn(1, model.latent_dim, generator=generator).expand(n, -1)"),
    ),
    (
        "logits",
        "These are logits: values below 0 and above 1. What turns a logit into a probability?",
        drawing(Z, "model.decode(z)"),
    ),
    (
        "softmax",
        "This looks like a softmax, whose pixels add up to 1. Each pixel is white or "
        "not by itself: a sigmoid.",
        drawing(Z, "model.decode(z).softmax(dim=1)"),
    ),
    (
        "black or white",
        "These are pixels, black or white. Their probabilities are asked for.",
        drawing(Z, "(model.decode(z) > 0).float()"),
    ),
    (
        "sigmoid twice",
        "This looks like a sigmoid applied twice: all values lie between 0.5 and 0.73. "
        "Once is enough.",
        drawing(Z, "model.decode(z).sigmoid().sigmoid()"),
    ),
    (
        "the mean code",
        "All samples decode the code 0. Draw the codes from the prior.",
        drawing("torch.zeros(n, model.latent_dim)"),
    ),
    (
        "truncated",
        "Codes beyond some size never occur. N(0, I) has tails: clip nothing.",
        drawing(f"{Z}.clamp(-1.5, 1.5)"),
    ),
    (
        "eight units",
        "The number of latent units seems to be fixed. Ask the model: latent_dim.",
        drawing("torch.randn(n, 8, generator=generator)"),
    ),
    (
        "squeezed",
        "For n = 1 an axis got lost: squeeze drops every axis of size 1. The shape is [n, d].",
        drawing(Z, "model.decode(z).sigmoid().squeeze()"),
    ),
)


# --- slerp, interpolate --------------------------------------------------------------------------

SLERP = """def slerp(z0, z1, t):
    lengths = z0.norm(dim=-1, keepdim=True) * z1.norm(dim=-1, keepdim=True)
    cosine = (z0 * z1).sum(dim=-1, keepdim=True) / torch.where(lengths == 0, 1, lengths)
    straight = (lengths == 0) | (cosine.abs() > 1 - 8 * torch.finfo(z0.dtype).eps)
    omega = torch.acos(torch.where(straight, 0, cosine))
    weight0 = torch.where(straight, 1 - t, torch.sin((1 - t) * omega) / torch.sin(omega))
    weight1 = torch.where(straight, t, torch.sin(t * omega) / torch.sin(omega))
    return weight0 * z0 + weight1 * z1
"""
INTERPOLATE = """def interpolate(model, x0, x1, steps):
    mu, logvar = model.encode(torch.stack([x0, x1]))
    ts = [i / (steps - 1) for i in range(steps)]
    return model.decode(torch.stack([slerp(mu[0], mu[1], t) for t in ts])).sigmoid()
"""


def arcs(old: str, new: str) -> str:
    return replaced(SLERP, old, new) + INTERPOLATE


def paths(old: str, new: str) -> str:
    return SLERP + replaced(INTERPOLATE, old, new)


SLERP_ = mutants(
    "slerp",
    (
        "the gradient is not a number without an arc",
        "The values are right, but where there is no arc the gradient is NaN: torch.where computes "
        "both sides. Give the angle some harmless value in the rows where it is not used.",
        arcs("torch.acos(torch.where(straight, 0, cosine))", "torch.acos(cosine.clamp(-1, 1))"),
    ),
    (
        "small angles are straight lines",
        "Rows with an angle of a degree or two get the straight line. They have an arc: sin ω is 0 "
        "up to rounding only.",
        arcs("1 - 8 * torch.finfo(z0.dtype).eps", "0.9995"),
    ),
    (
        "the angle is detached",
        "The values are right, but the angle is taken out of the graph: it depends on "
        "z0 and z1, and its gradient is missing.",
        arcs(
            "omega = torch.acos(torch.where(straight, 0, cosine))",
            "omega = torch.acos(torch.where(straight, 0, cosine)).detach()",
        ),
    ),
    (
        "zero vectors are forgotten",
        "A zero vector has no direction, and here it becomes NaN. Take the straight "
        "line for such rows, and divide by 1 there.",
        arcs("torch.where(lengths == 0, 1, lengths)", "lengths").replace("(lengths == 0) | ", ""),
    ),
    (
        "opposite directions are forgotten",
        "Opposite directions have sin ω = 0, too: there is no single arc between them. "
        "Take the straight line there.",
        arcs("cosine.abs() > 1", "cosine > 1"),
    ),
    (
        "same directions are forgotten",
        "Same directions have sin ω = 0, and here they become NaN or noise. Take the "
        "straight line there.",
        arcs("cosine.abs() > 1 -", "-cosine > 1 -"),
    ),
    (
        "one row without an arc makes all straight",
        "One row without an arc makes all rows straight. Decide for each row by itself:"
        " torch.where, not if.",
        arcs("    omega = ", "    straight = straight.any() | straight\n    omega = "),
    ),
    (
        "the angle of all rows together",
        "This looks like one angle for all rows together. Each row has its own: sum "
        "over the last axis alone, with keepdim.",
        arcs(
            "(z0 * z1).sum(dim=-1, keepdim=True) / torch.where(lengths == 0, 1, lengths)",
            "((z0 * z1).sum() / (z0.norm() * z1.norm()).clamp(min=1e-30)).expand_as(lengths)",
        ),
    ),
    (
        "a wide tolerance",
        "Rows with a small angle get the straight line, as with a wide tolerance. They "
        "have an arc: sin ω is 0 up to rounding only.",
        arcs("8 * torch.finfo(z0.dtype).eps", "0.2"),
    ),
    (
        "straight lines",
        "This is the straight line. The arc weighs z0 and z1 by sines of the angle between them.",
        arcs("return weight0 * z0 + weight1 * z1", "return (1 - t) * z0 + t * z1"),
    ),
    (
        "directions instead of vectors",
        "This looks like a result made of unit vectors. The angle is between the "
        "directions, but the sum is of z0 and z1 with their lengths.",
        arcs(
            "return weight0 * z0 + weight1 * z1",
            "u, v = nn.functional.normalize(z0, dim=-1), nn.functional.normalize(z1, dim=-1)\n"
            "    return weight0 * u + weight1 * v",
        ),
    ),
    (
        "the angle of vectors as they are",
        "This looks like an angle from the dot product alone. Divide it by both lengths"
        " first: the cosine is that of the directions.",
        arcs("/ torch.where(lengths == 0, 1, lengths)", "/ 1.0").replace(
            "cosine.abs() > 1", "cosine.abs() >= 1"
        ),
    ),
    (
        "t is turned round",
        "t runs backwards: at t = 0 the result is z0.",
        arcs("return weight0 * z0 + weight1 * z1", "return weight1 * z0 + weight0 * z1"),
    ),
    (
        "z0 is normalised in place",
        "An argument is another tensor after the call than before. It belongs to the "
        "caller: leave out operations that end in _ and assignments such as +=.",
        arcs(
            "    omega = ",
            "    with torch.no_grad():\n        z0 += 1\n    z0 = z0 - 1\n    omega = ",
        ),
    ),
    (
        "straight lines between the codes",
        "interpolate seems to take the straight line between the codes. Take slerp.",
        paths("slerp(mu[0], mu[1], t)", "(1 - t) * mu[0] + t * mu[1]"),
    ),
    (
        "logits",
        "interpolate gives logits: values below 0 and above 1. What turns a logit into "
        "a probability?",
        paths(".sigmoid()", ""),
    ),
    (
        "between the images",
        "This looks like interpolation between the images, pixel by pixel. Encode both,"
        " walk between their codes, and decode.",
        paths(
            "model.decode(torch.stack([slerp(mu[0], mu[1], t) for t in ts])).sigmoid()",
            "torch.stack([slerp(x0, x1, t) for t in ts])",
        ),
    ),
    (
        "between images of probabilities",
        "This looks like interpolation between the two decoded images. Walk between the"
        " codes, and decode each.",
        paths(
            "model.decode(torch.stack([slerp(mu[0], mu[1], t) for t in ts])).sigmoid()",
            "torch.stack([torch.lerp(*model.decode(mu).sigmoid(), t) for t in ts])",
        ),
    ),
    (
        "the end is left out",
        "The last row does not reach x1. t goes from 0 to 1, both included: there is "
        "one step less than there are rows.",
        paths("i / (steps - 1)", "i / steps"),
    ),
    (
        "codes are drawn",
        "Two calls give different rows, as if codes were drawn. Walk between the two "
        "mu, without noise.",
        paths("    ts =", "    mu = mu + (logvar / 2).exp() * torch.randn_like(mu)\n    ts ="),
    ),
)


# --- importance_weighted_bound -------------------------------------------------------------------

BOUND = """def importance_weighted_bound(model, x, eps):
    mu, logvar = model.encode(x)
    ratios = []
    for each in eps:
        z = mu + (logvar / 2).exp() * each
        nll = bernoulli_nll(model.decode(z), x)
        ratios.append((each**2 + logvar - z**2).sum(dim=1) / 2 - nll)
    return torch.stack(ratios).logsumexp(dim=0) - math.log(len(eps))
"""
JOINED = "torch.stack(ratios).logsumexp(dim=0)"


def bound(old: str, new: str) -> str:
    return replaced(BOUND, old, new)


BOUNDS = mutants(
    "importance_weighted_bound",
    (
        "ten draws at the most",
        "More draws make no difference from some number on. All k of them count.",
        bound("for each in eps:", "eps = eps[:10]\n    for each in eps:"),
    ),
    (
        "the gradient of the weights is cut",
        "The values are right, but logvar is detached in the weight, so the gradient to"
        " the encoder is wrong. Leave every term in the graph.",
        bound("+ logvar - z**2", "+ logvar.detach() - z**2"),
    ),
    (
        "z is detached in the prior",
        "The values are right, but z is detached in log p(z), so the gradient to the "
        "encoder is wrong. Leave every term in the graph.",
        bound("- z**2", "- z.detach() ** 2"),
    ),
    (
        "no gradient to the noise",
        "The values are right, but no gradient reaches eps. Gradients flow to every "
        "floating-point input.",
        bound(
            "z = mu + (logvar / 2).exp() * each",
            "each = each.detach(); z = mu + (logvar / 2).exp() * each",
        ),
    ),
    (
        "log of a sum of exponentials",
        "exp(−1000) is 0 on a computer, and log 0 is −∞. Take the logarithm of the sum "
        "in one piece: logsumexp.",
        bound(JOINED, "torch.stack(ratios).exp().sum(dim=0).log()"),
    ),
    (
        "likelihoods are clipped",
        "This looks like clipped likelihoods. log p(x|z) may be −10,000: clip nothing, "
        "logsumexp copes with it.",
        bound(
            "nll = bernoulli_nll(model.decode(z), x)",
            "nll = bernoulli_nll(model.decode(z), x).clamp(max=500)",
        ),
    ),
    (
        "the mean of the logarithms",
        "This looks like the mean of the logarithms: the ELBO, however many draws there"
        " are. The mean is that of the ratios, and the logarithm comes last.",
        bound(f"{JOINED} - math.log(len(eps))", "torch.stack(ratios).mean(dim=0)"),
    ),
    (
        "the largest",
        "This looks like the largest of the draws alone. Logsumexp is near it, but it "
        "is the mean of all ratios that is asked for.",
        bound(f"{JOINED} - math.log(len(eps))", "torch.stack(ratios).amax(dim=0)"),
    ),
    (
        "without − log k",
        "This looks like the logarithm of the sum of the ratios. It is that of their "
        "mean: subtract log k.",
        bound(" - math.log(len(eps))", ""),
    ),
    (
        "− log b",
        "This seems to subtract the logarithm of the batch size. eps is [k, b, z]: the "
        "number of draws is k.",
        bound("math.log(len(eps))", "math.log(eps.shape[1])"),
    ),
    (
        "over the batch",
        "The draws of different rows are joined. eps is [k, b, z]: join over k, the first axis.",
        bound("logsumexp(dim=0)", "logsumexp(dim=1)"),
    ),
    (
        "without the weights",
        "This looks like the mean of p(x|z) alone, as if z came from the prior. It came"
        " from q: each draw is weighed by p(z)/q(z|x).",
        bound("(each**2 + logvar - z**2).sum(dim=1) / 2 - nll", "-nll"),
    ),
    (
        "without logvar",
        "log q(z|x) lacks its logvar: a narrow density is a high one. Without it the "
        "ratio is wrong by sigma.",
        bound("(each**2 + logvar - z**2)", "(each**2 - z**2)"),
    ),
    (
        "the ratio turned round",
        "This looks like q(z|x)/p(z). The weight is p(z)/q(z|x).",
        bound(
            "(each**2 + logvar - z**2).sum(dim=1) / 2 - nll",
            "(z**2 - logvar - each**2).sum(dim=1) / 2 - nll",
        ),
    ),
    (
        "the mean over the latent units",
        "The log-ratio looks like a mean over the latent units. It is a sum over them.",
        bound(".sum(dim=1) / 2", ".mean(dim=1) / 2"),
    ),
    (
        "sigma = exp(logvar)",
        "This looks like sigma = exp(logvar), which is the variance. logvar is the "
        "logarithm of the variance, so sigma is exp(logvar / 2).",
        bound("(logvar / 2).exp()", "logvar.exp()"),
    ),
    (
        "the divergence for the weights",
        "This looks like the KL in the place of log q − log p. The KL is the mean of "
        "that over all z; each draw has its own.",
        bound("(each**2 + logvar - z**2).sum(dim=1) / 2 - nll", "-gaussian_kl(mu, logvar) - nll"),
    ),
    (
        "the first draw in all places",
        "All draws seem to use the noise of the first. Draw number i uses eps[i].",
        bound("for each in eps:", "for each in eps[:1].expand_as(eps):"),
    ),
    (
        "an upper bound of the cost",
        "This is the bound with its sign turned round. A lower bound of log p(x) is "
        "asked for; of black-and-white images it is negative.",
        bound(f"return {JOINED} - math.log(len(eps))", f"return math.log(len(eps)) - {JOINED}"),
    ),
    (
        "noise of its own",
        "This looks like noise that the function draws by itself. All the randomness is"
        " in eps, which is given.",
        bound("for each in eps:", "for each in torch.randn_like(eps):"),
    ),
)

MUTANTS = (
    *REPARAMETERIZE,
    *GAUSSIAN_KL,
    *BERNOULLI_NLL,
    *NEGATIVE_ELBO,
    *VAE,
    *TRAIN_VAE,
    *SAMPLE,
    *SLERP_,
    *BOUNDS,
)
