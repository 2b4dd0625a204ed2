"""Registry lines of the backbones."""

from __future__ import annotations

from pellucid.registry import Entry

_TABM = "Gorishniy, Kotelnikov, Babenko 2024, arXiv:2410.24210"
_RTDL = "Gorishniy, Rubachev, Khrulkov, Babenko 2021, arXiv:2106.11959"

_PERCEPTRON = {"width": "width", "blocks": "blocks", "dropout": "dropout"}
_MEMBERS = {"members": "members", **_PERCEPTRON}

# the papers' ranges, with the rate and decay of the hidden matrices in place of one rate for all, and a width that a processor can bear
_FLAT_SPACE = {
    "width": [64, 128, 256, 512], "blocks": (1, 5), "dropout": (0.0, 0.5), "lr": (3e-4, 1e-2, "log"), "weight_decay": (1e-6, 1e-1, "log"),
    "muon_lr": (3e-3, 5e-2, "log"), "muon_decay": (1e-2, 2.0, "log"), "d_token": [8, 16, 24, 32], "bins": (4, 128, "log"),
}  # fmt: skip
_MEMBER_SPACE = {**_FLAT_SPACE, "blocks": (2, 4), "members": [2, 4, 8], "weight_decay": (1e-4, 1e-1, "log")}

ENTRIES: tuple[Entry, ...] = (
    Entry(
        "tabm", "backbone", "pellucid.nn.backbones.tabm:TabM",
        "One network that is K networks: shared matrices, own scales and heads; the default.",
        takes="flat", cost="K * (C * D * h + (blocks - 1) * h**2) multiply-adds a row", source=_TABM, reads=_MEMBERS,
        space=_MEMBER_SPACE,
    ),
    Entry(
        "tabm_additive", "backbone", "pellucid.nn.backbones.tabm_additive:TabMAdditive",
        "TabM beside a fitted additive model; held-out rows decide how much each counts.",
        takes="tokens", cost="as tabm and additive; the fit of the additive model comes first",
        source=f"{_TABM}; Lou, Caruana, Gehrke, Hooker 2013, doi:10.1145/2487575.2487579",
        reads=_MEMBERS | {"free_dropout": "free_dropout"},
        recipe={"head": "blend"}, space=_MEMBER_SPACE,
    ),
    Entry(
        "tabm_mini", "backbone", "pellucid.nn.backbones.tabm:TabMMini",
        "K members that differ by their input scales and heads alone.",
        takes="flat", cost="as tabm, with fewer elementwise passes", source=_TABM, reads=_MEMBERS,
        space=_MEMBER_SPACE,
    ),
    Entry(
        "mlp", "backbone", "pellucid.nn.backbones.mlp:MLP",
        "A plain multi-layer perceptron on the embedded columns.",
        takes="flat", cost="C * D * h + (blocks - 1) * h**2 multiply-adds a row", source=_RTDL, reads=_PERCEPTRON,
        space=_FLAT_SPACE,
    ),
    Entry(
        "ft_transformer", "backbone", "pellucid.nn.backbones.ft_transformer:FTTransformer",
        "Attention between the columns' tokens; its attention maps can be shown.",
        takes="tokens", cost="blocks * (8 * C * D**2 + 2 * C**2 * D) multiply-adds a row", source=_RTDL,
        reads={"blocks": "blocks", "ffn_dropout": "dropout"},
        # attention needs wider tokens for its heads, gentler rates, and more dropout than a perceptron (benchmarks/RESULTS.md)
        recipe={"d_token": 32, "blocks": 2, "lr": 1e-3, "muon_lr": 0.005, "weight_decay": 1e-5, "dropout": (0.1, 0.3)},
        space={
            "d_token": [32, 64, 96, 128], "blocks": (1, 4), "options.attention_dropout": (0.0, 0.5), "dropout": (0.0, 0.5),
            "options.residual_dropout": (0.0, 0.2), "options.ffn_factor": (0.667, 2.667), "lr": (1e-4, 3e-3, "log"),
            "weight_decay": (1e-6, 1e-3, "log"), "muon_lr": (1e-3, 2e-2, "log"),
        },
    ),
    Entry(
        "resnet", "backbone", "pellucid.nn.backbones.resnet:ResNet",
        "Residual blocks with batch norm on the embedded columns.",
        takes="flat", cost="C * D * h + blocks * 2 * factor * h**2 multiply-adds a row", source=_RTDL, reads=_PERCEPTRON,
        # it learns a few thousand rows by heart within four passes: gentler steps and more dropout than the perceptron's
        recipe={"width": (64, 192), "blocks": 2, "dropout": (0.15, 0.3), "muon_lr": (0.01, 0.005)},
        space={
            "width": (64, 512), "blocks": (1, 8), "options.factor": (1.0, 4.0), "dropout": (0.0, 0.5),
            "options.residual_dropout": (0.0, 0.5), "lr": (1e-5, 1e-2, "log"), "weight_decay": (1e-6, 1e-3, "log"),
        },
    ),
    Entry(
        "tabnet", "backbone", "pellucid.nn.backbones.tabnet:TabNet",
        "Decision steps that choose their columns row by row with sparse masks; the masks are its explanation.",
        takes="scalars", cost="(S + 1) * (2 * C * w + 6 * w**2) multiply-adds a row, w = N_d + N_a",
        source="Arik, Pfister 2021, arXiv:1908.07442",
        recipe={
            "d_token": (8, 1), "number": ("ple", "plain"), "lr": 2e-2, "epochs": 30,
            "muon_lr": 0.0, "precision": "fp32", "compile": False,
        },
        space={
            "options.n_d": [8, 16, 32, 64], "options.n_a": [8, 16, 32, 64], "options.n_steps": (2, 8), "options.gamma": (1.0, 2.0),
            "options.lambda_sparse": (1e-6, 1e-1, "log"), "options.momentum": (0.01, 0.4, "log"), "lr": (1e-3, 3e-2, "log"),
        },
    ),
    Entry(
        "tree_mimic", "backbone", "pellucid.nn.backbones.tree_mimic:TreeMimic",
        "Boxes with soft walls, each cut by one column, added up as a tree adds its leaves.",
        takes="scalars", cost="R * cuts * C multiply-adds a row, and a sort of C numbers a cut",
        source="Arik, Pfister 2021, arXiv:1908.07442, figure 3",
        recipe={"d_token": 1, "number": "plain", "lr": 1e-2, "muon_lr": 0.0, "precision": "fp32", "compile": False},
        space={
            "options.regions": [64, 128, 256, 512], "options.cuts": (1, 6), "options.sharpness": (0.3, 10.0, "log"),
            "options.lambda_sparse": (1e-6, 1e-1, "log"), "lr": (1e-3, 3e-2, "log"),
        },
    ),
    Entry(
        "additive", "backbone", "pellucid.nn.backbones.additive:Additive",
        "One curve per column and a few terms of two columns, all of which add up to the output.",
        takes="tokens", cost="C * (T + D) * O + P * B**2 * O multiply-adds a row",
        source="Lou, Caruana, Gehrke, Hooker 2013, doi:10.1145/2487575.2487579",
        recipe={
            "head": "identity", "number": "flagged", "d_token": (10, 18), "bins": (32, 64), "bin_kind": ("quantile", "both"),
            "lr": (2.5e-3, 2e-2), "epochs": (12, 8), "min_steps": (150, 300), "muon_lr": 0.0,
            "weight_decay": 0.0, "precision": "fp32", "compile": False,
        },
        space={"lr": (1e-3, 2e-2, "log"), "options.n_pairs": [0, 5, 10, 20, 40], "options.smooth": (1e-4, 1e-1, "log")},
    ),
    Entry(
        "label_attention", "backbone", "pellucid.nn.backbones.ft_transformer:LabelTransformer",
        "A transformer in which every class reads the columns by weights of its own, which can be shown.",
        takes="tokens", cost="as ft_transformer, and C * D * (D + 2 * O) multiply-adds a row",
        source="Niu, Yin, Song, Guo, Yang 2022, arXiv:2201.06779", reads={"blocks": "blocks", "ffn_dropout": "dropout"},
        recipe={
            "head": "identity", "d_token": 32, "blocks": (1, 2), "lr": 1e-3, "muon_lr": (0.005, 0.01), "weight_decay": 1e-5,
        },
        space={"blocks": (0, 4), "options.attention_dropout": (0.0, 0.5), "dropout": (0.0, 0.5), "lr": (1e-4, 1e-2, "log")},
    ),
    Entry(
        "autoint", "backbone", "pellucid.nn.backbones.autoint:AutoInt",
        "Attention layers that combine columns, beside a perceptron; their maps say which pairs combine.",
        takes="tokens", cost="layers * (4 * C * W**2 + 2 * C**2 * W) multiply-adds a row, and those of mlp",
        source="Song, Shi, Xiao et al. 2018, arXiv:1810.11921",
        reads={"deep": "width", "deep_blocks": "blocks", "dropout": "dropout"},
        recipe={"d_token": (8, 16), "muon_lr": (0.01, 0.005)},
        space={
            "options.layers": (1, 6), "options.attention_width": [16, 32, 64, 128], "options.attention_dropout": (0.0, 0.5),
            "dropout": (0.0, 0.5), "lr": (1e-4, 1e-2, "log"),
        },
    ),
    Entry(
        "tabtransformer", "backbone", "pellucid.nn.backbones.tabtransformer:TabTransformer",
        "Categories get their meaning from the other categories of the row; numbers go past them to a perceptron.",
        takes="tokens", cost="layers * (16 * A * D**2 + 2 * A**2 * D) for A categories, and C * D * h + h**2 multiply-adds a row",
        source="Huang, Khetan, Cvitkovic, Karnin 2020, arXiv:2012.06678",
        reads={"width": "width", "blocks": "blocks", "dropout": "dropout"},
        recipe={"d_token": (16, 32)},
        space={
            "options.layers": (1, 6), "options.attend_numbers": [False, True], "options.attention_dropout": (0.0, 0.5),
            "dropout": (0.0, 0.5), "lr": (1e-4, 1e-2, "log"),
        },
    ),
    Entry(
        "excelformer", "backbone", "pellucid.nn.backbones.excelformer:ExcelFormer",
        "A column listens only to columns that tell more of the target; the network starts as the identity.",
        needs=("column rank",), takes="tokens", cost="layers * (6 * C * D**2 + 2 * C**2 * D) multiply-adds a row",
        source="Chen, Yan, Chen, Wu 2023, arXiv:2301.02819",
        # AdamW alone: matrices that start near 0 soon over-fit where Muon moves them (a split of wine_quality_white: RMSE .760, without
        # it .744)
        recipe={"d_token": 32, "lr": (1e-3, 4e-3), "muon_lr": (0.005, 0.0), "weight_decay": 1e-5},
        space={
            "options.layers": (1, 5), "options.heads": [2, 4, 8], "options.attention_dropout": (0.0, 0.5), "d_token": [32, 64, 128],
            "lr": (1e-4, 1e-2, "log"),
        },
    ),
    Entry(
        "armnet", "backbone", "pellucid.nn.backbones.armnet:ARMNet",
        "Products of columns with learned powers, formed anew for every row by sparse gates, beside a perceptron.",
        takes="tokens", cost="2 * P * C * D + P * D * h multiply-adds and P sorts of C numbers a row, and those of mlp",
        source="Cai, Zheng, Chen et al. 2021, arXiv:2107.01830",
        reads={"width": "width", "blocks": "blocks", "dropout": "dropout", "deep": "width"},
        recipe={"d_token": (8, 16)},
        space={
            "options.neurons": [16, 32, 64, 128], "options.alpha": [1.0, 1.5, 2.0], "dropout": (0.0, 0.5), "lr": (1e-4, 1e-2, "log"),
        },
    ),
    Entry(
        "leurn", "backbone", "pellucid.nn.backbones.leurn:LEURN",
        "Layers of univariate rules whose thresholds follow from what was found before; the output is the sum of the findings.",
        takes="scalars", cost="(C * D)**2 * L * (L - 1) / 2 multiply-adds a row", source="Aluja, Ozdemir, Aydin 2023, arXiv:2303.14937",
        reads={"dropout": "dropout"},
        recipe={
            "head": "identity", "number": "stack", "d_token": (4, 8), "lr": 5e-3, "muon_lr": 0.0, "dropout": (0.3, 0.2),
            "precision": "fp32", "compile": False,
        },
        space={"options.layers": (2, 8), "options.levels": [0, 2, 3, 5, 9], "d_token": [1, 4, 8, 16], "lr": (1e-3, 2e-2, "log")},
    ),
    Entry(
        "kan", "backbone", "pellucid.nn.backbones.kan:KAN",
        "A learned curve on every edge, sums at the nodes; the curves can be drawn.",
        takes="scalars", cost="sum over layers of I * J * (M + 1) multiply-adds a row", source="Liu and others 2024, arXiv:2404.19756",
        recipe={"head": "identity", "number": "plain", "d_token": 1, "lr": 5e-3, "precision": "fp32", "compile": False},
        space={
            "options.hidden": [(), (8,), (16,), (32,), (64,), (16, 16)], "options.pieces": (3, 16), "options.degree": [1, 3],
            "options.penalty": (1e-6, 1e-2, "log"), "lr": (1e-3, 2e-2, "log"),
        },
    ),
    Entry(
        "senn", "backbone", "pellucid.nn.backbones.senn:SENN",
        "A sum of one concept per column times coefficients that each row chooses, held steady between near rows.",
        takes="tokens", cost="2 * (C * D * h + (blocks - 1) * h**2 + h * C * O) multiply-adds a row",
        source="Alvarez-Melis, Jaakkola 2018, arXiv:1806.07538", reads=_PERCEPTRON, recipe={"head": "identity"},
        space={"options.stability": (1e-4, 1e-1, "log"), "width": (64, 512), "dropout": (0.0, 0.5), "lr": (1e-3, 1e-2, "log")},
    ),
    Entry(
        "prototype", "backbone", "pellucid.nn.backbones.prototype:Prototype",
        "The weighted average of the answers of training rows that are kept and can be named.",
        takes="tokens", cost="C * D * h + blocks * h**2 + P * E multiply-adds a row, P kept rows",
        source="Snell, Swersky, Zemel 2017, arXiv:1703.05175", reads=_PERCEPTRON,
        recipe={"head": "identity", "width": (64, 256), "precision": "fp32", "compile": False},
        space={
            "options.d_row": [16, 32, 64, 128], "options.sampled": [250, 500, 1000, 2000], "width": (64, 512), "blocks": (1, 4),
            "dropout": (0.0, 0.5), "lr": (1e-3, 1e-2, "log"),
        },
    ),
    Entry(
        "retrieval", "backbone", "pellucid.nn.backbones.retrieval:Retrieval",
        "A small network that reads the answers of its nearest kept training rows; other rows can take their place.",
        takes="tokens", cost="2 * C * D * E + P * E + 4 * k * E multiply-adds a row, P kept rows, k neighbours",
        source="Gorishniy, Rubachev, Kartashev, Shlenskii, Kotelnikov, Babenko 2023, arXiv:2307.14338",
        reads={"width": "width", "dropout": "dropout"},
        recipe={
            "width": (32, 96), "dropout": (0.3, 0.1), "lr": 2e-3, "muon_lr": (0.005, 0.01), "precision": "fp32", "compile": False,
        },
        space={
            "width": [32, 64, 96, 128, 192], "options.neighbours": [16, 32, 64, 96], "dropout": (0.0, 0.5),
            "lr": (1e-3, 1e-2, "log"),
        },
    ),
)  # fmt: skip
